"""What can be recorded: each command, how its input is read, and how it decides."""
