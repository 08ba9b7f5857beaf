"""Messages in memory, and a database of subscriptions alone: for tests of delivery without a log."""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from zlib import crc32

from sqlalchemy import Connection, Engine, MetaData

from shared.outbox.message_cursor import BEFORE_ALL, MessageCursor
from shared.outbox.message_source import MessagePage, OutboxMessage
from shared.runtime.database.engine import postgres_engine, snapshot, sqlite_engine, translate_driver_errors
from shared.runtime.database.planned_changes import Plan
from shared.subscriptions.subscription_tables import subscription_tables

METADATA = MetaData()
TABLES = subscription_tables(METADATA)
ADDED = "larder.StockAdded"
REMOVED = "larder.StockRemoved"


class ListedMessages:
    """A MessageReader over lists. `add` makes one command of one or more messages."""

    def __init__(self) -> None:
        self.by_location: dict[str, list[OutboxMessage]] = {}
        self._ends: dict[str, MessageCursor] = {}
        self._lock = threading.Lock()
        self.readable: int | None = None
        """The sequence up to which the logs can be read, where that is before their end."""
        self.reads = 0

    def add(self, location_id: str, *types: str, epoch: int = 1) -> list[OutboxMessage]:
        """The messages of a command that published these types; none for an event that published nothing."""
        with self._lock:
            sequence = self._ends.get(location_id, BEFORE_ALL).sequence + 1
            made = [
                OutboxMessage(
                    id=f"{sequence:08x}-{crc32(location_id.encode()) & 0xFFFF:04x}-7000-8000-000000000000-{part}",
                    type=kind,
                    cursor=MessageCursor(epoch, sequence, part),
                    recorded_at=sequence,
                    body=f'{{"location":"{location_id}","sequence":{sequence},"part":{part}}}'.encode(),
                )
                for part, kind in enumerate(types)
            ]
            self.by_location.setdefault(location_id, []).extend(made)
            self._ends[location_id] = MessageCursor(epoch, sequence, max(0, len(types) - 1))
            return made

    def read(self, location_id: str, after: MessageCursor, types: frozenset[str] | None, limit: int) -> MessagePage:
        with self._lock:
            self.reads += 1
            later = [each for each in self.by_location.get(location_id, []) if each.cursor > after]
            if self.readable is not None:
                later = [each for each in later if each.cursor.sequence <= self.readable]
                found = [each for each in later if types is None or each.type in types][:limit]
                return MessagePage(found, max(after, later[len(found) - 1].cursor) if found else after)
            found = [each for each in later if types is None or each.type in types]
            if len(found) > limit:
                return MessagePage(found[:limit], found[limit - 1].cursor)
            return MessagePage(found, max(after, self._ends.get(location_id, BEFORE_ALL)))

    def end(self, location_id: str) -> MessageCursor:
        with self._lock:
            return self._ends.get(location_id, BEFORE_ALL)

    def ends(self, location_ids: Collection[str]) -> dict[str, MessageCursor]:
        return {each: self.end(each) for each in location_ids}

    def count_behind(self, location_id: str, after: MessageCursor) -> int:
        return max(0, self.end(location_id).sequence - after.sequence)


class PlainDatabase:
    """A SubscriptionDatabase over engines of its own. `before_commit`, where set, is called once and may raise."""

    def __init__(self, url: str) -> None:
        self.readers: Engine
        if url.startswith("sqlite:///"):
            path = Path(url.removeprefix("sqlite:///"))
            self.writer = sqlite_engine(path)
            METADATA.create_all(self.writer)
            self.readers = sqlite_engine(path, read_only=True)
        else:
            self.writer = self.readers = postgres_engine(url)
            METADATA.create_all(self.writer)
        self.before_commit: Any = None

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        with translate_driver_errors(), snapshot(self.readers) as connection:
            yield connection

    def apply(self, plan: Plan) -> Any:
        with translate_driver_errors(), self.writer.begin() as connection:
            change = plan(connection)
            for write in change.writes:
                write(connection)
            hook, self.before_commit = self.before_commit, None
            if hook is not None:
                hook()
        return change.answer

    def close(self) -> None:
        self.readers.dispose()
        self.writer.dispose()
