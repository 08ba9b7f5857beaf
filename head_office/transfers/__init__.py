"""Instructions to branches, and the facts of transfers in their logs."""
