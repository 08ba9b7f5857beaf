"""What counts found in sum, by item and by location, and how counts are written into a file."""
