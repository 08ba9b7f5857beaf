"""The speed table: each of our rows beside its yardstick, measured in turns in one run. `make bench`."""
