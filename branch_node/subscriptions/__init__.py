"""Subscriptions of this branch: their database, by the one writer, and the deliverer with its threads."""
