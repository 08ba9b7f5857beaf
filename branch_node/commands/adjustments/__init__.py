"""Stock commands as other systems know them: adjust an item, and record only where its stock is as it was."""
