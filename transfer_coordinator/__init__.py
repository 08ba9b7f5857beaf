"""The transfer coordinator: moves stock between locations, exactly once or not at all."""
