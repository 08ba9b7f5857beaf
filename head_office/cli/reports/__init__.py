"""The commands `report` of head office's command line, a module for each report."""
