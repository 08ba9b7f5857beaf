"""The purchasing report of each morning: when it is due, making and keeping it once, answering and mailing it."""
