"""Subscriptions: who is sent a log's messages by webhook, how far each has come, and the delivery itself."""
