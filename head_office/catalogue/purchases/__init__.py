"""Suppliers and orders to them: written with the catalogue's history, read as they stand and as they were known."""
