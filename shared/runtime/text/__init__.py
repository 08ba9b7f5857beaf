"""Text that people and files bring, and how it is read: tables, decimal commas, the codes that were meant."""
