"""The purchasing report as a file, CSV, XLSX or PDF: of the same report the same bytes, whenever they are made."""
