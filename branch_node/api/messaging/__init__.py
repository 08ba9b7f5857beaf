"""The routes of published messages and of who subscribes to them."""
