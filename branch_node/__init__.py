"""The branch node: records one location's stock events and ships them to head office."""
