"""Reservations of the group as the logs have them, and which location should serve an order."""
