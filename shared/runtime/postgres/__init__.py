"""The embedded PostgreSQL: binaries, cluster folder, launcher, supervisor."""
