"""A branch's log in memory, shipped to head office by its real ingest: for tests of what comes after."""

from __future__ import annotations

import itertools

from sqlalchemy import Connection, Engine

from head_office.log.ingest import ingest
from shared import wire
from shared.chain import EMPTY, Head, Sealed, seal
from shared.events import Event
from shared.messages import EventsAnswer
from tests.support.events import NOON, an_event

_seeds = itertools.count(1_000_000)


class BranchLog:
    """One location's log: `record` appends, `ship` sends what head office has not acknowledged."""

    def __init__(self, location_id: str) -> None:
        self.location_id = location_id
        self.sealed: list[Sealed] = []
        self.shipped = 0

    @property
    def head(self) -> Head:
        return self._head_at(len(self.sealed))

    def record(self, kind: str, **fields: object) -> Event:
        """Append one event; fields given override those made up."""
        event = an_event(kind, location_id=self.location_id, seed=next(_seeds), **fields)
        self.sealed.append(seal(event, self.head, max(event.occurred_at, NOON)))
        return event

    def batch(self, first: int | None = None, last: int | None = None) -> bytes:
        """The body of POST /v1/sync/events for the sequences first..last; else for what is not shipped yet."""
        begin = self.shipped + 1 if first is None else first
        end = len(self.sealed) if last is None else last
        before = self._head_at(begin - 1)
        lines = [each.line for each in self.sealed[begin - 1 : end]]
        return wire.pack(self.location_id, self.head.epoch, begin, before.hash, lines)

    def ship(self, connection: Connection, last: int | None = None) -> EventsAnswer:
        """Ship up to `last` in the transaction given."""
        answer = ingest(connection, wire.unpack(self.batch(last=last)))
        self.shipped = answer.head.sequence
        return answer

    def ship_now(self, engine: Engine) -> EventsAnswer:
        with engine.begin() as connection:
            return self.ship(connection)

    def _head_at(self, sequence: int) -> Head:
        if sequence == 0:
            return EMPTY
        last = self.sealed[sequence - 1]
        return Head(last.event.epoch, last.event.sequence, last.hash)
