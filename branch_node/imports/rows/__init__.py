"""Rows of an imported file by the map: what each is, of which item, how much, and when."""
