"""Synchronisation with head office: hello, shipping the log, pulling catalogue and instructions, and its status."""
