"""Suppliers and orders to them: what head office states of them, and what was known at a moment."""
