"""The whole of Larder on a virtual clock and a hostile network: real step functions, real databases, seeded faults."""
