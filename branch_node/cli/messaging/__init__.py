"""Commands about the messages that this branch publishes, and who subscribes to them."""
