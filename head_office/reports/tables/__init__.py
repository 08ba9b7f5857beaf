"""Reports that are tables of a period: read in pages, or whole for a file."""
