"""Orders from other systems: what they send, the pure decisions, the commands that record them, their secrets."""
