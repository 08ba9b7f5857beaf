"""Purchases: suppliers, orders to them, and what the log says was delivered against an order's lines."""
