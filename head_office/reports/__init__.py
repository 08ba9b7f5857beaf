"""What is read from the consolidated logs: stock, explanations, variances, in transit, verification."""
