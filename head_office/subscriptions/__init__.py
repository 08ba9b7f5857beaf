"""Subscriptions at head office: their database, and the deliverer with its threads, beside those of other processes."""
