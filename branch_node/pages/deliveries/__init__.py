"""The pages of orders to suppliers: those that are open, and the form that records a delivery against one."""
