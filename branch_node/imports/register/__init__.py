"""The register of imports: which files were imported, which events are theirs, and the keys of their rows."""
