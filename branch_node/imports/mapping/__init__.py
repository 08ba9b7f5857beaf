"""The import map: its tables, how it is parsed, and how its faults are named."""
