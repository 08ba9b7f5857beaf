"""Consolidating the logs: hello, ingest, decoding, fold check, appending, projections, quarantine, rebuild."""
