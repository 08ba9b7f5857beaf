"""The pages of purchasing: the report of what to order, and the orders to suppliers."""
