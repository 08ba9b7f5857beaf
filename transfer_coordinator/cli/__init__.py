"""The commands of `larder transfer`."""
