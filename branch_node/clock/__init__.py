"""The node's clock in the database: its runs and settlements, what it dated wrongly, and how that is recorded again."""
