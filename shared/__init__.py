"""The domain of Larder: what an event is, how logs are chained, folded, stored and shipped."""
