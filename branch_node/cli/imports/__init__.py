"""The commands that import files and list, show or undo imports, and what they print."""
