"""The command of an import's row, its idempotency key, and its outcomes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from hashlib import sha256
from typing import Final
from urllib.parse import quote

import msgspec
from sqlalchemy import Connection

from branch_node.commands.event_commands import RecordEvent
from branch_node.commands.preconditions import is_strict
from branch_node.database.lookups import first_by_key
from branch_node.model import Decision, RecordedCommand, View
from branch_node.problems import KEY_REUSED
from shared.events import PLAIN_SCHEMA, Event
from shared.runtime.problems import Problem

KEY_PART: Final = 72
"""Characters of a file's name, or of a row's id, in a key of at most 200."""

_PLAIN: Final = re.compile(r"[ -$&-}]+")
_KEPT: Final = "".join(chr(code) for code in range(0x20, 0x7E) if chr(code) != "%")


def key_part(text: str) -> str:
    """A text as part of a key (short, ASCII): as it is, else percent-encoded, else `~` and its SHA-256."""
    if len(text) <= KEY_PART and _PLAIN.fullmatch(text):
        return text
    quoted = quote(text, safe=_KEPT).replace("~", "%7E")
    return quoted if len(quoted) <= KEY_PART else "~" + sha256(text.encode()).hexdigest()


def item_key(source: str, item_id: str) -> str:
    """The key under which an import from `source` defines an item."""
    return f"import-item/{source}/{key_part(item_id)}"


class ImportRefusal(msgspec.Struct, frozen=True):
    """Why a row was not recorded."""

    why: str


BY_LINE: Final = "line"
"""The `known_by` of files whose rows have no id of their own."""

RECORDED: Final = "recorded"
ALREADY_RECORDED: Final = "already recorded"


class ImportConflict(ImportRefusal, frozen=True):
    """The row's key recorded other content, at `sequence`; None where a dry run predicts it."""

    sequence: int | None


RowOutcome = str | ImportRefusal
"""RECORDED, ALREADY_RECORDED or an ImportRefusal."""


class ImportEvent(RecordEvent):
    """Record one row: as `RecordEvent`, answered with RECORDED or ALREADY_RECORDED only."""

    def decide(self, view: View) -> Decision:
        """As `RecordEvent`, with a path of half the time for most rows: past movements of known, not strict items."""
        entry = self.entry
        item = view.item(entry.item_id)
        at = entry.occurred_at
        if item is None or entry.quantity is None or at is None or at > view.now or entry.used:
            return super().decide(view)
        if is_strict(view, item):
            return super().decide(view)
        day, offset = view.location.day(at)
        event = Event(
            actor=self.actor,
            area=entry.area,
            business_date=day,
            clock_unconfirmed=True if view.clock_unconfirmed else None,
            cost=entry.cost,
            epoch=0,
            event_id=view.new_id(),
            expires_on=entry.expires_on,
            item_id=item.item_id,
            line=1,
            lines=1,
            location_id=view.location.location_id,
            lot=entry.lot,
            note=entry.note,
            occurred_at=at,
            quantity=entry.quantity,
            reason=entry.reason,
            recorded_at=0,
            reference=entry.reference,
            sequence=0,
            source=entry.source,
            type=entry.type,
            unit=item.unit,
            utc_offset=offset,
            v=PLAIN_SCHEMA,
        )
        return Decision(events=[event])

    def answer(self, recorded: RecordedCommand) -> str:  # type: ignore[override]
        return ALREADY_RECORDED if recorded.repeated else RECORDED


def recorded_before(connection: Connection, commands: Sequence[ImportEvent]) -> list[RowOutcome | None]:
    """The outcome of each row from the log alone: ALREADY_RECORDED, an ImportConflict, or None for a new row.

    One query for all. Repeating an old command at the writer would fold the stock of its moment for each row.
    """
    there = first_by_key(connection, [command.key for command in commands if command.key is not None])
    found: list[RowOutcome | None] = []
    for command in commands:
        first = there.get(command.key or "")
        if first is None:
            found.append(None)
        elif first.event.command_digest == command.digest:
            found.append(ALREADY_RECORDED)
        else:
            found.append(key_conflict(first.event.sequence))
    return found


def key_conflict(sequence: int | None) -> ImportConflict:
    """The conflict of a row whose key recorded other content, at `sequence` where that is known."""
    why = "its id recorded something else: it stands twice in the file, or the map has changed since"
    return ImportConflict(f"{why} ({KEY_REUSED.code})", sequence)


def refusal_of(problem: Problem) -> ImportRefusal:
    """A row's refusal. Raises the problem itself where its cause is not the row: a full disk, a lost database."""
    if problem.status >= 500:
        raise problem
    if problem.code == KEY_REUSED.code:
        return key_conflict(problem.extras.get("sequence"))
    return ImportRefusal(f"{problem.detail or problem.title} ({problem.code})")
