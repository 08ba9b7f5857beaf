"""Reorder levels: the rule that says when to order how much, its columns in a database, its form in JSON."""
