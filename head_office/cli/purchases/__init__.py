"""The commands of suppliers and of orders to them, and the import of files of both and of reorder levels."""
