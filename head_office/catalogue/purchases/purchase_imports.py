"""What files say of suppliers, reorder levels and orders, recorded: all of a file or nothing, in one transaction.

Each function takes what was read of a file, and checks what is named against the catalogue; with any row rejected its
caller rolls back. `done` is called with the number of values after each batch.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import Final, TypeVar

from sqlalchemy import Connection

from head_office.catalogue import items, locations
from head_office.catalogue.catalogue_history import EntryOutcome, lock
from head_office.catalogue.item_files import Imported, Rejected
from head_office.catalogue.location_levels import LevelChange, put_levels
from head_office.catalogue.purchases.group_suppliers import put_suppliers, suppliers_with_ids
from head_office.catalogue.purchases.purchase_files import ReadRows, ReadValue
from head_office.catalogue.purchases.purchase_order_changes import NewPurchaseOrder, make_orders
from shared.purchases.suppliers import Supplier
from shared.runtime.problems import Problem

BATCH: Final = 1_000
"""Values of a batch at most, of orders their lines."""

Done = Callable[[int], None]
T = TypeVar("T")


def import_suppliers(connection: Connection, read: ReadRows[Supplier], done: Done) -> Imported:
    """Add and change suppliers."""
    counts = _Counts(read.rejected)
    for batch in _batches(read.values):
        counts.add(put_suppliers(connection, [each.value for each in batch]))
        done(len(batch))
    return counts.result()


def import_levels(connection: Connection, read: ReadRows[LevelChange], done: Done) -> Imported:
    """Set reorder levels; those that the file does not name stay."""
    lock(connection)
    counts = _Counts(read.rejected)
    for batch in _batches(read.values):
        places = locations.known(connection, {each.value.location_id for each in batch})
        there = {item.item_id for item in items.read_many(connection, (each.value.item_id for each in batch))}
        for each in batch:
            counts.check(each.lines[0], "location", each.value.location_id, places)
            counts.check(each.lines[0], "item", each.value.item_id, there)
        counts.add(put_levels(connection, [each.value for each in batch if not counts.rejects(each.lines)]))
        done(len(batch))
    return counts.result()


def import_orders(connection: Connection, read: ReadRows[NewPurchaseOrder], done: Done) -> Imported:
    """Make orders; those that were made before alike are `unchanged`."""
    lock(connection)
    counts = _Counts(read.rejected)
    # Those with ids first, so that no number that is given meanwhile is one of them.
    ordered = sorted(read.values, key=lambda each: each.value.purchase_order_id is None)
    for batch in _batches(ordered, lambda order: len(order.lines)):
        new = [each.value for each in batch]
        places = locations.known(connection, {each.location_id for each in new})
        suppliers = suppliers_with_ids(connection, {each.supplier_id for each in new})
        there = {
            item.item_id for item in items.read_many(connection, {line.item_id for each in new for line in each.lines})
        }
        for each in batch:
            counts.check(each.lines[0], "location", each.value.location_id, places)
            counts.check(each.lines[0], "supplier", each.value.supplier_id, suppliers)
            for number, line in zip(each.lines, each.value.lines, strict=True):
                counts.check(number, "item", line.item_id, there)
        _make(connection, [each for each in batch if not counts.rejects(each.lines)], counts)
        done(len(batch))
    return counts.result()


def _make(connection: Connection, read: Sequence[ReadValue[NewPurchaseOrder]], counts: _Counts) -> None:
    """Make all in one go; where that is refused one by one, so that every order at fault is named."""
    try:
        with connection.begin_nested():
            made = make_orders(connection, [each.value for each in read])
    except Problem as problem:
        if problem.status >= 500:
            raise
        if len(read) == 1:
            counts.reject(read[0].lines[0], problem.detail or problem.title)
        else:
            for each in read:
                _make(connection, [each], counts)
    else:
        counts.add(EntryOutcome.ADDED if each.is_new else EntryOutcome.UNCHANGED for each in made)


class _Counts:
    """What became of the values so far, and the rows that are rejected."""

    def __init__(self, rejected: Iterable[Rejected]) -> None:
        self._rejected: dict[int, Rejected] = {}
        self._outcomes = dict.fromkeys(EntryOutcome, 0)
        for each in rejected:
            self.reject(*each)

    def add(self, outcomes: Iterable[EntryOutcome]) -> None:
        for outcome in outcomes:
            self._outcomes[outcome] += 1

    def check(self, line: int, kind: str, code: str, known: Collection[str]) -> None:
        if code not in known:
            self.reject(line, f"there is no {kind} {code}")

    def reject(self, line: int, reason: str) -> None:
        before = self._rejected.get(line)
        self._rejected[line] = Rejected(line, reason if before is None else f"{before.reason}; {reason}")

    def rejects(self, lines: Iterable[int]) -> bool:
        return any(line in self._rejected for line in lines)

    def result(self) -> Imported:
        counted = dict.fromkeys(EntryOutcome, 0) if self._rejected else self._outcomes
        return Imported(
            counted[EntryOutcome.ADDED],
            counted[EntryOutcome.CHANGED],
            counted[EntryOutcome.UNCHANGED],
            sorted(self._rejected.values()),
        )


def _batches(
    values: Sequence[ReadValue[T]], size: Callable[[T], int] = lambda _value: 1
) -> Iterator[list[ReadValue[T]]]:
    """The values in batches of BATCH at most, or of one that is larger."""
    batch: list[ReadValue[T]] = []
    held = 0
    for each in values:
        if batch and held + size(each.value) > BATCH:
            yield batch
            batch, held = [], 0
        batch.append(each)
        held += size(each.value)
    if batch:
        yield batch
