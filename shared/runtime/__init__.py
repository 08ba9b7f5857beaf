"""What every service needs to run; it knows no event and imports nothing else of Larder."""
