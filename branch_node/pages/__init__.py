"""The branch's pages for people: record, stock, reservations, imports, log."""
