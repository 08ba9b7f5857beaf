"""The catalogue and its history: items, locations, reorder levels, API keys, and items that branches propose."""
