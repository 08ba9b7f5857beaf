"""Scenarios that a stranger can run: real processes, driven from outside; a line each says what was done and said."""
