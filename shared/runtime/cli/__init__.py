"""What every command line is built on."""
