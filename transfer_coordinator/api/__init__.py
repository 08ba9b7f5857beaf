"""The coordinator's HTTP API: creating, listing, showing and cancelling transfers."""
