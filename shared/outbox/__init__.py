"""What a log publishes: messages in the order of the log, and the cursors of those who read them."""
