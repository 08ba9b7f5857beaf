"""The routes on which other systems tell of their orders, and those that say which systems may."""
