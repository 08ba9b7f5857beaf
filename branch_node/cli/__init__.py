"""The commands of `larder branch`."""
