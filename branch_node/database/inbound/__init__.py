"""The rows of orders that other systems tell of, and of those systems with their secrets."""
