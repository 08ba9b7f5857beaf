"""What was used: by item, by the dish that caused it, by the order that it was for."""
