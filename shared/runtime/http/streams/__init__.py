"""Server-sent streams, and what wakes those who wait."""
