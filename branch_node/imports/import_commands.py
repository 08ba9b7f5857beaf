"""What an import asks of the writer: the claim on a file's name, and each row as the event it is."""

from __future__ import annotations

import re
from collections.abc import Sequence
from hashlib import sha256
from typing import Final
from urllib.parse import quote

import msgspec
from sqlalchemy import Connection

from branch_node.commands.event_commands import RecordEvent
from branch_node.database.lookups import first_by_key
from branch_node.model import Decision, RecordedCommand, View
from branch_node.problems import KEY_REUSED
from shared.events import SCHEMA_VERSION, Event
from shared.runtime.problems import Problem

KEY_PART: Final = 72
"""Characters of a file's name, or of a row's id, in a key of at most 200."""

_PLAIN: Final = re.compile(r"[ -$&-}]+")
_KEPT: Final = "".join(chr(code) for code in range(0x20, 0x7E) if chr(code) != "%")


def key_part(text: str) -> str:
    """A text as part of a key, which is ASCII and short: as it is, else as URLs write it, else `~` and its SHA-256."""
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
"""What rows without an id of their own are known by."""

RECORDED: Final = "recorded"
ALREADY: Final = "already recorded"


class ImportConflict(ImportRefusal, frozen=True):
    """Under the row's key something else is recorded: at `sequence`, None where a dry run only foresees it."""

    sequence: int | None


RowOutcome = str | ImportRefusal
"""RECORDED, ALREADY or Refused."""


class ImportEvent(RecordEvent):
    """One row. The same content under the same key as `RecordEvent`, but answered only RECORDED or ALREADY."""

    def decide(self, view: View) -> Decision:
        """As `RecordEvent`; what most rows are, a movement of a known item in the past, takes half the time here."""
        entry = self.entry
        item = view.item(entry.item_id)
        at = entry.occurred_at
        if item is None or item.strict or entry.quantity is None or at is None or at > view.now or entry.used:
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
            v=SCHEMA_VERSION,
        )
        return Decision(events=[event])

    def answer(self, recorded: RecordedCommand) -> str:  # type: ignore[override]
        return ALREADY if recorded.repeated else RECORDED


def recorded_before(connection: Connection, commands: Sequence[ImportEvent]) -> list[RowOutcome | None]:
    """What is known of each row from the log alone: ALREADY, Refused where its key has other content, None if new.

    One query for all; the writer, asked to repeat a command long after, would fold the stock of that moment for each.
    """
    there = first_by_key(connection, [command.key for command in commands if command.key is not None])
    found: list[RowOutcome | None] = []
    for command in commands:
        first = there.get(command.key or "")
        if first is None:
            found.append(None)
        elif first.event.command_digest == command.digest:
            found.append(ALREADY)
        else:
            found.append(reused(first.event.sequence))
    return found


def reused(sequence: int | None) -> ImportConflict:
    """Under the row's key something else is recorded, at `sequence` where that is known."""
    why = "its id recorded something else: it stands twice in the file, or the map has changed since"
    return ImportConflict(f"{why} ({KEY_REUSED.code})", sequence)


def refused(problem: Problem) -> ImportRefusal:
    """A row's refusal. Raises the problem itself where it is not about the row: a full disk, a lost database."""
    if problem.status >= 500:
        raise problem
    if problem.code == KEY_REUSED.code:
        return reused(problem.extras.get("sequence"))
    return ImportRefusal(f"{problem.detail or problem.title} ({problem.code})")
