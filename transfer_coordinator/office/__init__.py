"""The coordinator's client of head office, and what it keeps of head office's catalogue."""
