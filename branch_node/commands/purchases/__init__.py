"""Deliveries against orders to suppliers: what may name an order's line, and receiving an order."""
