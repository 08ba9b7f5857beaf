"""Where the messages of a log come from, as those see it who send them on."""

from __future__ import annotations

from collections.abc import Collection
from typing import Protocol

import msgspec

from shared.outbox.message_cursor import BEFORE_ALL, MessageCursor


class OutboxMessage(msgspec.Struct, frozen=True):
    """One message. `type` is the full one, such as `larder.StockAdded`; `recorded_at` in microseconds UTC.

    `body` is the CloudEvent as JSON, the same bytes each time that the message is read.
    """

    id: str
    type: str
    cursor: MessageCursor
    recorded_at: int
    body: bytes


class WaitsFor(msgspec.Struct, frozen=True):
    """The event of which a reader does not get on: head office has it and cannot fold it yet, for this reason."""

    sequence: int
    reason: str


class MessagePage(msgspec.Struct, frozen=True):
    """Messages in the order of the log. `next`: how far the log was read, also where no message was found.

    `is_last`: nothing more can be read until the next commit to the log. `waits_for`: why nothing comes after these
    messages, though the log goes on.
    """

    messages: list[OutboxMessage]
    next: MessageCursor
    is_last: bool = False
    waits_for: WaitsFor | None = None


class MessageReader(Protocol):
    """Reads the messages of the logs that a service has. Every method raises Problem where the database is unavailable.

    A page that is shorter than `limit` need not be the last.
    """

    def read(self, location_id: str, after: MessageCursor, types: frozenset[str] | None, limit: int) -> MessagePage:
        """At most `limit` messages after a cursor; `types`: full names, None for all."""
        ...

    def end(self, location_id: str) -> MessageCursor:
        """The cursor at the end of the log: after it come only messages that are not there yet."""
        ...

    def ends(self, location_ids: Collection[str]) -> dict[str, MessageCursor]:
        """`end` of several logs, read from one snapshot where one has them all."""
        ...

    def count_behind(self, location_id: str, after: MessageCursor) -> int:
        """How many events of the log come after a cursor."""
        ...


def behind(reader: MessageReader, location_id: str, after: MessageCursor, end: MessageCursor) -> int:
    """As `count_behind`, without reading the log where its `end` is known and says it: in the same epoch."""
    if after.epoch == end.epoch or after == BEFORE_ALL:
        return max(0, end.sequence - after.sequence)
    return reader.count_behind(location_id, after)
