"""Head office's pages: stock of the group, explanations, transfers."""
