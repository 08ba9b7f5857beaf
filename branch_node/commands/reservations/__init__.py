"""Reservations: what callers send, the pure decisions, the commands that record them."""
