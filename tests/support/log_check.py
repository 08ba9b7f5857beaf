"""Verification of a branch's log for the tests: written apart from the product's, and simpler."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256

from sqlalchemy import Connection, select

from shared.chain import EMPTY, Head
from shared.event_log import LogTables, read_after


class BrokenChain(ValueError):
    """A line whose hash is not the recorded one. `sequence` is the first event that does not verify."""

    def __init__(self, sequence: int) -> None:
        super().__init__(f"the chain breaks at event {sequence}")
        self.sequence = sequence


def verify(previous: bytes, entries: Iterable[tuple[int, bytes, bytes]]) -> bytes:
    """Verify (sequence, line, hash) entries that follow `previous`; the last hash.

    Raises BrokenChain at the first entry whose hash differs from the one computed from its line.
    """
    for sequence, line, recorded in entries:
        previous = sha256(previous + line).digest()
        if previous != recorded:
            raise BrokenChain(sequence)
    return previous


def verify_log(connection: Connection, tables: LogTables, *, page: int = 5_000) -> Head:
    """Verify a branch's whole log in pages of `page` events: gapless, every hash right, ending at the head.

    Returns the head; raises BrokenChain at the first event that does not verify. Memory is bounded by one page.
    """
    head = connection.execute(select(tables.head)).one()
    reached, digest = 0, EMPTY.hash
    while entries := read_after(connection, tables, reached, page):
        for offset, entry in enumerate(entries, start=reached + 1):
            if entry.sequence != offset:
                raise BrokenChain(offset)
        digest = verify(digest, entries)
        reached = entries[-1].sequence
    if reached != head.sequence or digest != bytes(head.hash):
        raise BrokenChain(head.sequence)
    return Head(head.epoch, reached, digest)
