"""The first map of a file, drafted from its first rows: what its columns are, and how their cells are written."""
