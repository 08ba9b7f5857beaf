"""Stock of items in the database: figures, tags, codes, levels, explanations, what stood before."""
