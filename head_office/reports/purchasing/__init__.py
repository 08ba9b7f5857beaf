"""The purchasing report: what to order for each location, from whom and how much; its formulas and its files."""
