"""The commands `purchase-orders` and `receive`."""
