"""What the tests share and the product does not need."""
