"""The errors by which head office refuses a whole batch, independent of HTTP; `wire.BadBatch` is one more."""

from __future__ import annotations


class UnknownLocation(LookupError):
    """Head office keeps no log of this location."""

    def __init__(self, location_id: str) -> None:
        super().__init__(f"head office knows no location {location_id}")
        self.location_id = location_id


class BatchRefused(Exception):
    """A batch that does not fit head office's copy of the log; nothing of it was stored."""


class GapRefused(BatchRefused):
    """Events between head office's head and the batch are missing: `expected_sequence` is the next one to send."""

    def __init__(self, expected_sequence: int) -> None:
        super().__init__(f"head office expects event {expected_sequence} next")
        self.expected_sequence = expected_sequence


class Forked(BatchRefused):
    """The batch does not chain on: at `sequence` its hash is not the one head office has."""

    def __init__(self, sequence: int) -> None:
        super().__init__(f"the log in this batch and head office's copy differ at event {sequence} or before it")
        self.sequence = sequence


class Superseded(BatchRefused):
    """The batch is of an older epoch than head office's: another node has taken the location over."""

    def __init__(self, epoch: int) -> None:
        super().__init__(f"the location is at epoch {epoch} by now")
        self.epoch = epoch
