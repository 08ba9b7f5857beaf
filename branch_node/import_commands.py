"""What an import asks of the writer: the claim on a file's name, and each row as the event it is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec
from sqlalchemy import Connection, insert, select

from branch_node.by_hand import RecordEvent
from branch_node.commands import Command, Decision, Recorded, View
from branch_node.lookups import lines_by_key
from branch_node.problems import IMPORT_FILE_DIFFERS, IMPORT_KEYS_DIFFER, KEY_REUSED
from branch_node.schema import IMPORT_FILE
from shared.runtime.clock import format_rfc3339
from shared.runtime.problems import Problem


class Registration(msgspec.Struct, frozen=True, kw_only=True):
    """A file under the name that is part of its rows' keys, and what its rows are known by: `line` or a column."""

    source: str
    file: str
    size: int
    sha256: str
    known_by: str


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """`began_at` is when a file was first imported under its name (microseconds UTC), None where it is now."""

    began_at: int | None


class Refused(msgspec.Struct, frozen=True):
    """Why a row was not recorded."""

    why: str


BY_LINE: Final = "line"
"""What rows without an id of their own are known by."""

RECORDED: Final = "recorded"
ALREADY: Final = "already recorded"

Outcome = str | Refused
"""RECORDED, ALREADY or Refused."""


def find_claim(connection: Connection, registration: Registration) -> Claim:
    """Whether this very file has its name already. Raises Problem where another one has it."""
    table = IMPORT_FILE
    row = connection.execute(
        select(table).where(table.c.source == registration.source, table.c.file == registration.file)
    ).one_or_none()
    if row is None:
        return Claim(began_at=None)
    if (row.size, row.sha256) != (registration.size, registration.sha256):
        raise IMPORT_FILE_DIFFERS(
            f"{registration.file!r} from {registration.source} was first imported at {format_rfc3339(row.began_at)} "
            f"with {row.size} bytes (SHA-256 {row.sha256[:12]}…); this file has {registration.size} bytes "
            f"({registration.sha256[:12]}…)",
            began_at=format_rfc3339(row.began_at),
            sha256=row.sha256,
        )
    if row.known_by != registration.known_by:
        raise IMPORT_KEYS_DIFFER(f"the rows were known by {row.known_by}, the map says {registration.known_by}")
    return Claim(began_at=row.began_at)


class ClaimFile(Command):
    """Claim a file's name for its content. Answers with a Claim; claiming it again for the same content is fine."""

    def __init__(self, registration: Registration) -> None:
        self.registration = registration

    def decide(self, view: View) -> Decision:
        claim = find_claim(view.connection, self.registration)
        if claim.began_at is not None:
            return Decision(answer=claim)
        values = {**msgspec.structs.asdict(self.registration), "began_at": view.now}

        def write(connection: Connection) -> None:
            connection.execute(insert(IMPORT_FILE), values)

        return Decision(answer=claim, writes=[write])


class ImportEvent(RecordEvent):
    """One row. The same content under the same key as `RecordEvent`, but answered only RECORDED or ALREADY."""

    def answer(self, recorded: Recorded) -> str:  # type: ignore[override]
        return ALREADY if recorded.repeated else RECORDED


def recorded_before(connection: Connection, commands: Sequence[ImportEvent]) -> list[Outcome | None]:
    """What is known of each row from the log alone: ALREADY, Refused where its key has other content, None if new.

    One query for all; the writer, asked to repeat a command, would fold the stock of that moment for each.
    """
    there = lines_by_key(connection, [command.key for command in commands if command.key is not None])
    found: list[Outcome | None] = []
    for command in commands:
        first = there.get(command.key or "")
        if first is None:
            found.append(None)
        elif first.command_digest == command.digest:
            found.append(ALREADY)
        else:
            found.append(reused())
    return found


def reused() -> Refused:
    """Under the row's key something else is recorded."""
    why = "its id recorded something else: it stands twice in the file, or the map has changed since"
    return Refused(f"{why} ({KEY_REUSED.code})")


def refused(problem: Problem) -> Refused:
    """A row's refusal. Raises the problem itself where it is not about the row: a full disk, a lost database."""
    if problem.status >= 500:
        raise problem
    if problem.code == KEY_REUSED.code:
        return reused()
    return Refused(f"{problem.detail or problem.title} ({problem.code})")
