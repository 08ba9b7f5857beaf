"""The routes of the mornings at which the purchasing report was made."""
