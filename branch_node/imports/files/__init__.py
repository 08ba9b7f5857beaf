"""Files as they come, of any encoding or kind, copied once and read from the copy: bytes, texts, records, workbooks."""
