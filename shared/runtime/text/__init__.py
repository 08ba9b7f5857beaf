"""Text that people and files bring, how it is read, the CSV that is written: tables, decimal commas, meant codes."""
