"""Orders that other systems tell head office of, and the sources that may."""
