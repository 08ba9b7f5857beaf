"""What every command line is built on: groups, errors with hints, output, progress, clients, pending commands."""
