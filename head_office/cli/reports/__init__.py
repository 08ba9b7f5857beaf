"""The commands `larder head-office report`."""
