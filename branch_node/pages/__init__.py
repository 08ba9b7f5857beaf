"""The branch's pages for people: record, stock, log."""
