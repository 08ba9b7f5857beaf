"""What was asked for and was not there: the refused lines of orders, and their sums by item."""
