"""The one writer of the log: command queue, transaction, group commit."""
