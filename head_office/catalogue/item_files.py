"""Import of items from a CSV file in batches, each in one transaction; rejected rows are reported with their lines."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec
from sqlalchemy import Connection, Engine

from head_office.catalogue import items
from head_office.catalogue.catalogue_history import EntryOutcome
from shared.catalogue_messages import CatalogueItem
from shared.runtime.problems import Problem
from shared.runtime.text.csv_table import TableRow, read_table

BATCH: Final = 500
REQUIRED: Final = ("item_id", "name", "unit")
OPTIONAL: Final = ("category", "barcode", "strict_at")


class ItemRow(NamedTuple):
    """One row: the line it ends on, and its item, or the fault for which there is none."""

    line: int
    item: CatalogueItem | None
    fault: str = ""


class Rejected(NamedTuple):
    """A row that was not recorded."""

    line: int
    reason: str


class Imported(NamedTuple):
    """The result of an import: items added, changed and unchanged, and the rejected rows."""

    added: int
    changed: int
    unchanged: int
    rejected: list[Rejected]


def read_items(path: Path) -> Iterator[ItemRow]:
    """The rows of a CSV file with the columns REQUIRED and any of OPTIONAL. Raises BadTable, OSError.

    `strict_at` holds locations with blanks between them.
    """
    for row in read_table(path, required=REQUIRED, optional=OPTIONAL):
        yield ItemRow(row.line, None, row.fault) if row.fault else _item_row(row)


def import_items(engine: Engine, rows: Iterator[ItemRow], done: Callable[[int], None]) -> Imported:
    """Record the rows in batches of BATCH; `done` is called after each batch with its number of rows."""
    counts = dict.fromkeys(EntryOutcome, 0)
    rejected: list[Rejected] = []
    while batch := list(islice(rows, BATCH)):
        good: dict[str, tuple[int, CatalogueItem]] = {}
        for row in batch:
            if row.item is None:
                rejected.append(Rejected(row.line, row.fault))
            elif row.item.item_id in good:
                first = good[row.item.item_id][0]
                rejected.append(Rejected(row.line, f"the item {row.item.item_id} stands in line {first} already"))
            else:
                good[row.item.item_id] = (row.line, row.item)
        for outcome in _record(engine, list(good.values()), rejected):
            counts[outcome] += 1
        done(len(batch))
    return Imported(
        counts[EntryOutcome.ADDED],
        counts[EntryOutcome.CHANGED],
        counts[EntryOutcome.UNCHANGED],
        sorted(rejected),
    )


def _record(engine: Engine, good: list[tuple[int, CatalogueItem]], rejected: list[Rejected]) -> list[EntryOutcome]:
    """Record all in one go; where that is refused one by one, so that only the rows at fault are rejected."""
    try:
        with engine.begin() as connection:
            return items.put(connection, [item for _, item in good])
    except Problem as problem:
        if problem.status >= 500:
            raise
    outcomes: list[EntryOutcome] = []
    with engine.begin() as connection:
        for line, item in good:
            outcomes.extend(_one(connection, line, item, rejected))
    return outcomes


def _one(connection: Connection, line: int, item: CatalogueItem, rejected: list[Rejected]) -> list[EntryOutcome]:
    try:
        with connection.begin_nested():
            return items.put(connection, [item])
    except Problem as problem:
        if problem.status >= 500:
            raise
        rejected.append(Rejected(line, problem.detail or problem.title))
        return []


def _item_row(row: TableRow) -> ItemRow:
    given: dict[str, Any] = dict(row.cells)
    if "strict_at" in given:
        given["strict_at"] = given["strict_at"].split()
    try:
        return ItemRow(row.line, msgspec.convert(given, CatalogueItem))
    except msgspec.ValidationError as error:
        return ItemRow(row.line, None, str(error))
