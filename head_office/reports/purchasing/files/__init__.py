"""The files of the purchasing report: CSV, XLSX, PDF."""
