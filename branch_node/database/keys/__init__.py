"""The API keys that a node accepts: look-ups and changes."""
