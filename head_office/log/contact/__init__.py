"""When the branches called: what is kept of it, so that a past report knows who was silent then."""
