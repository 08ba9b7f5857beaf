"""The recorders of imports: through a writer in this process, a node over HTTP, or not at all."""
