"""The routes of reports that are also answered as files."""
