"""The claim of an import on its file's name, so that a name stands for one content only."""

from __future__ import annotations

import msgspec
from sqlalchemy import Connection, insert, select

from branch_node.database.schema import IMPORT_FILE
from branch_node.model import Command, Decision, View
from branch_node.problems import IMPORT_FILE_DIFFERS, IMPORT_KEYS_DIFFER
from shared.runtime.clock import format_rfc3339


class FileRegistration(msgspec.Struct, frozen=True, kw_only=True):
    """The content of a file under its name, which is part of its rows' keys. `known_by`: `line` or a column of ids."""

    source: str
    file: str
    size: int
    sha256: str
    known_by: str


class FileClaim(msgspec.Struct, frozen=True, kw_only=True):
    """`began_at` is when a file was first imported under its name (microseconds UTC), None where it is now."""

    began_at: int | None


def find_claim(connection: Connection, registration: FileRegistration) -> FileClaim:
    """The claim of this file on its name. Raises Problem where another content has the name."""
    table = IMPORT_FILE
    row = connection.execute(
        select(table).where(table.c.source == registration.source, table.c.file == registration.file)
    ).one_or_none()
    if row is None:
        return FileClaim(began_at=None)
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
    return FileClaim(began_at=row.began_at)


class ClaimFile(Command):
    """Claim a file's name for its content. Answers with a Claim; claiming it again for the same content is allowed."""

    def __init__(self, registration: FileRegistration) -> None:
        self.registration = registration

    def decide(self, view: View) -> Decision:
        claim = find_claim(view.connection, self.registration)
        if claim.began_at is not None:
            return Decision(answer=claim)
        values = {**msgspec.structs.asdict(self.registration), "began_at": view.now}

        def write(connection: Connection) -> None:
            connection.execute(insert(IMPORT_FILE), values)

        return Decision(answer=claim, writes=[write])
