"""Instructions to branches, and the facts that their logs tell of transfers."""
