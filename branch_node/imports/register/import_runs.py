"""The imports as they are stored: each with its file, its state, and the stretches of the log that hold its events."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any, Final

import msgspec
from sqlalchemy import ColumnElement, Connection, func, insert, select, tuple_, update

from branch_node.database.schema import IMPORT_NAMED_ROW, IMPORT_RUN, IMPORT_SPAN, LOG
from branch_node.imports.register.row_keys import RowKeys, lineage_of
from branch_node.problems import UNKNOWN_IMPORT
from shared.events import BY_HAND, RULES, EventType
from shared.runtime.http.cursor import Cursor, Whole


class ImportState(StrEnum):
    """The state of an import: cut off or running, whole, being undone, undone."""

    INCOMPLETE = "INCOMPLETE"
    IMPORTED = "IMPORTED"
    UNDOING = "UNDOING"
    UNDONE = "UNDONE"


BY_LINE = "line"
"""The `known_by` of files whose rows have no id of their own."""

FILE_SCOPE = "file"


class FileRegistration(msgspec.Struct, frozen=True, kw_only=True):
    """A file about to be imported: its name, its unpacked content, and what its rows are known by.

    `scope` is the map's `id_scope`, None without ids. `continues`: the import whose bytes this file begins with.
    """

    source: str
    file: str
    size: int
    sha256: str
    known_by: str
    scope: str | None = None
    continues: str | None = None

    @property
    def by_bytes(self) -> bool:
        """Whether the file is known by its bytes, not its rows by their ids."""
        return self.scope in (None, FILE_SCOPE)


class ImportRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One import. `begins_at` and `begins_line` are where its own rows begin: in the file, and after which line."""

    import_id: str
    source: str
    file: str
    size: int
    sha256: str
    known_by: str
    lineage: str
    begins_at: int
    begins_line: int
    end_line: int
    rows: int
    recorded: int
    rejected: int
    conflicting: int
    actor: str
    began_at: int
    state: ImportState


class TypeTotals(msgspec.Struct, frozen=True):
    """How many events of a type stand in the log, and the sum of their quantities (thousandths)."""

    events: int
    quantity: int


def added_totals(one: Mapping[str, TypeTotals], other: Mapping[str, TypeTotals]) -> dict[str, TypeTotals]:
    """The sums of two totals by type."""
    none = TypeTotals(0, 0)
    pairs = {kind: (one.get(kind, none), other.get(kind, none)) for kind in sorted({*one, *other})}
    return {kind: TypeTotals(a.events + b.events, a.quantity + b.quantity) for kind, (a, b) in pairs.items()}


_COLUMNS = tuple(IMPORT_RUN.c[name] for name in ImportRecord.__struct_fields__)


def _record(row: Any) -> ImportRecord:
    return ImportRecord(**{**row._mapping, "state": ImportState(row.state)})


def find_import(connection: Connection, import_id: str) -> ImportRecord:
    """One import. Raises 404 `unknown-import`."""
    row = connection.execute(select(*_COLUMNS).where(IMPORT_RUN.c.import_id == import_id)).one_or_none()
    if row is None:
        raise UNKNOWN_IMPORT(f"there is no import {import_id!r}")
    return _record(row)


def imports_of(
    connection: Connection, *conditions: ColumnElement[bool], limit: int | None = None
) -> list[ImportRecord]:
    """Imports for which the conditions hold, the newest first."""
    run = IMPORT_RUN.c
    query = select(*_COLUMNS).where(*conditions).order_by(run.began_at.desc(), run.import_id.desc()).limit(limit)
    return [_record(row) for row in connection.execute(query)]


ImportPlace = tuple[Whole, str]
"""Where a page of the list ended: when an import began, and its id."""

BY_IMPORT: Final[Cursor[ImportPlace]] = Cursor(ImportPlace)


def imports_after(connection: Connection, after: ImportPlace | None, limit: int) -> list[ImportRecord]:
    """Imports that began before the place, the newest first."""
    run = IMPORT_RUN.c
    older = [] if after is None else [tuple_(run.began_at, run.import_id) < after]
    return imports_of(connection, *older, limit=limit)


def standing_imports(connection: Connection, source: str) -> list[ImportRecord]:
    """The imports of a source that were not undone, the newest first."""
    return imports_of(connection, IMPORT_RUN.c.source == source, IMPORT_RUN.c.state != ImportState.UNDONE.value)


def is_being_undone(connection: Connection, source: str) -> bool:
    run = IMPORT_RUN.c
    query = select(run.import_id).where(run.source == source, run.state == ImportState.UNDOING.value).limit(1)
    return connection.execute(query).first() is not None


def add_import(connection: Connection, record: ImportRecord) -> None:
    connection.execute(insert(IMPORT_RUN), msgspec.structs.asdict(record))


def change_import(connection: Connection, import_id: str, **values: object) -> None:
    connection.execute(update(IMPORT_RUN).where(IMPORT_RUN.c.import_id == import_id).values(values))


def next_import_id(connection: Connection, day: str) -> str:
    """A free id for an import of this day, such as 2026-01-31-2: short enough to be typed."""
    run = IMPORT_RUN.c
    taken = connection.execute(select(run.import_id).where(run.import_id.startswith(f"{day}-"))).scalars()
    return f"{day}-{1 + max((int(each.rpartition('-')[2]) for each in taken), default=0)}"


def row_keys(connection: Connection, registration: FileRegistration, lineage: str | None = None) -> RowKeys:
    """The keys of a file's rows, as its import would make them now."""
    run = IMPORT_RUN.c
    undone = select(func.count()).where(run.source == registration.source, run.state == ImportState.UNDONE.value)
    return RowKeys(
        source=registration.source,
        generation=connection.execute(undone).scalar_one(),
        scope=registration.scope,
        lineage=lineage or lineage_of(registration.size, registration.sha256),
    )


def undone_spans(connection: Connection, source: str) -> list[tuple[int, int]]:
    """The first and last sequences of the events of a source's undone imports, in order."""
    run, span = IMPORT_RUN.c, IMPORT_SPAN.c
    undone = select(run.import_id).where(run.source == source, run.state == ImportState.UNDONE.value)
    query = select(span.first_sequence, span.last_sequence).where(span.import_id.in_(undone))
    return [(row.first_sequence, row.last_sequence) for row in connection.execute(query.order_by(span.first_sequence))]


def has_named_rows(connection: Connection, source: str) -> bool:
    """Whether an older version recorded rows of this source with ids, under keys with the name of their file."""
    return connection.execute(select(1).where(IMPORT_NAMED_ROW.c.source == source).limit(1)).first() is not None


def named_rows(connection: Connection, source: str, row_ids: Sequence[str]) -> dict[str, list[int]]:
    """The sequences that an older version recorded for these ids."""
    named = IMPORT_NAMED_ROW.c
    found: dict[str, list[int]] = {}
    query = select(named.row_id, named.sequence).where(named.source == source, named.row_id.in_(list(row_ids)))
    for row in connection.execute(query.order_by(named.sequence)):
        found.setdefault(row.row_id, []).append(row.sequence)
    return found


def note_span(connection: Connection, import_id: str, first: int, last: int, recorded: int) -> None:
    """Note that these events are of an import, `recorded` of them of its rows."""
    span, run = IMPORT_SPAN.c, IMPORT_RUN.c
    before = (span.import_id == import_id, span.last_sequence == first - 1)
    grown = connection.execute(update(IMPORT_SPAN).where(*before).values(last_sequence=last))
    if grown.rowcount == 0:
        values = {"first_sequence": first, "last_sequence": last, "import_id": import_id}
        connection.execute(insert(IMPORT_SPAN), values)
    more = run.recorded + recorded
    connection.execute(update(IMPORT_RUN).where(run.import_id == import_id).values(recorded=more))


def _of_import(import_id: str) -> tuple[ColumnElement[bool], ...]:
    span, event = IMPORT_SPAN.c, LOG.event.c
    inside = event.sequence.between(span.first_sequence, span.last_sequence)
    return (span.import_id == import_id, inside, event.type.in_(sorted(BY_HAND)), event.sequence.not_in(_voided()))


def _voided() -> Any:
    return select(LOG.voided.c.sequence)


def standing_sequences(connection: Connection, import_id: str, most: int) -> list[int]:
    """The first of an import's events that are not voided, at most `most`."""
    query = select(LOG.event.c.sequence).where(*_of_import(import_id)).order_by(LOG.event.c.sequence).limit(most)
    return list(connection.execute(query).scalars())


def standing_totals(connection: Connection, import_id: str) -> dict[str, TypeTotals]:
    """What stands in the log because of an import, by type."""
    moved = func.coalesce(LOG.event.c.on_hand_change, LOG.event.c.counted, 0)
    query = (
        select(LOG.event.c.type, func.count(), func.sum(moved)).where(*_of_import(import_id)).group_by(LOG.event.c.type)
    )
    found = connection.execute(query).all()
    # A count has no sign of its own, and each of the others one.
    return {
        kind: TypeTotals(events, int(moved) * (RULES[EventType(kind)].on_hand or 1)) for kind, events, moved in found
    }
