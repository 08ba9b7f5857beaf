"""The routes of suppliers and of orders to them."""
