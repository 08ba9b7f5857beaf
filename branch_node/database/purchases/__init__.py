"""Suppliers and orders to them as pulled, what the log says was delivered, and look-ups and verification of both."""
