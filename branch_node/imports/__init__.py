"""The import of a till's CSV: from a file and a map to events, each row once."""
