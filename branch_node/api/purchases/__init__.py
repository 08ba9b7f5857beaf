"""The routes of orders to suppliers: reading them, receiving what was delivered."""
