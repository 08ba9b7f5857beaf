"""Orders that other systems tell of: their events, their sources and signatures, and what the log says of an order."""
