"""Engines for SQLite and PostgreSQL, translation of their errors, migrations."""
