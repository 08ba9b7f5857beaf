"""Import of items from a CSV file in batches, each in one transaction; rejected rows are reported with their lines."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec
from sqlalchemy import Connection, Engine

from head_office.catalogue import items
from shared.messages import CatalogueItem
from shared.runtime.problems import Problem

BATCH: Final = 500
REQUIRED: Final = ("item_id", "name", "unit")
OPTIONAL: Final = ("category", "barcode", "strict_at")
MAX_FIELD: Final = 100_000


class BadFile(ValueError):
    """A file that cannot be read as a whole; the error's text says why."""


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
    """The rows of a CSV file with the columns REQUIRED and any of OPTIONAL. Raises BadFile, OSError.

    `strict_at` holds locations with blanks between them.
    """
    csv.field_size_limit(MAX_FIELD)
    with path.open(encoding="utf-8-sig", newline="") as file:
        try:
            reader = csv.DictReader(file, strict=True)
            _check_columns(reader.fieldnames)
            for row in reader:
                yield _row(reader.line_num, row)
        except UnicodeDecodeError as error:
            raise BadFile(f"{path} is not UTF-8 text") from error
        except csv.Error as error:
            raise BadFile(f"{path}, line {reader.reader.line_num}: {error}") from error


def import_items(engine: Engine, rows: Iterator[ItemRow], done: Callable[[int], None]) -> Imported:
    """Record the rows in batches of BATCH; `done` is called after each batch with its number of rows."""
    counts = dict.fromkeys(items.ItemChange, 0)
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
        counts[items.ItemChange.ADDED],
        counts[items.ItemChange.CHANGED],
        counts[items.ItemChange.UNCHANGED],
        sorted(rejected),
    )


def _record(engine: Engine, good: list[tuple[int, CatalogueItem]], rejected: list[Rejected]) -> list[items.ItemChange]:
    """Record all in one go; where that is refused one by one, so that only the rows at fault are rejected."""
    try:
        with engine.begin() as connection:
            return items.put(connection, [item for _, item in good])
    except Problem as problem:
        if problem.status >= 500:
            raise
    outcomes: list[items.ItemChange] = []
    with engine.begin() as connection:
        for line, item in good:
            outcomes.extend(_one(connection, line, item, rejected))
    return outcomes


def _one(connection: Connection, line: int, item: CatalogueItem, rejected: list[Rejected]) -> list[items.ItemChange]:
    try:
        with connection.begin_nested():
            return items.put(connection, [item])
    except Problem as problem:
        if problem.status >= 500:
            raise
        rejected.append(Rejected(line, problem.detail or problem.title))
        return []


def _check_columns(found: Any) -> None:
    columns = list(found or ())
    for name in REQUIRED:
        if name not in columns:
            raise BadFile(f"the column {name} is missing; there are: {', '.join(map(str, columns)) or 'none'}")
    for name in columns:
        if name not in (*REQUIRED, *OPTIONAL):
            raise BadFile(f"the column {name!r} is not known; known are: {', '.join((*REQUIRED, *OPTIONAL))}")
    if len(set(columns)) != len(columns):
        raise BadFile("a column stands in the file twice")


def _row(line: int, row: dict[str | Any, Any]) -> ItemRow:
    if None in row or None in row.values():
        return ItemRow(line, None, "it has more or fewer fields than the first line")
    given = {name: value.strip() for name, value in row.items() if value.strip()}
    if "strict_at" in given:
        given["strict_at"] = given["strict_at"].split()
    try:
        return ItemRow(line, msgspec.convert(given, CatalogueItem))
    except msgspec.ValidationError as error:
        return ItemRow(line, None, str(error))
