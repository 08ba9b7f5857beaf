"""The tables of an import map as they may be written: names and types. What must hold between them is checked apart."""

from __future__ import annotations

from decimal import Decimal
from typing import Literal

import msgspec

from shared.events import EventType

Sign = Literal["as-written", "negated", "absolute"]

Path = tuple[str | int, ...]
"""Where something stands in a map: keys, and places in lists."""


class MapFault(Exception):
    """What is wrong at a path of the map, before its line is known."""

    def __init__(self, path: Path, why: str) -> None:
        super().__init__(why)
        self.path = path
        self.why = why


class _Table(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A TOML table; a key that is not among its fields is a mistake of whoever wrote it."""


class Columns(_Table, frozen=True, kw_only=True):
    """Which column holds which field. `quantity` is also what a count counted; `id` the row's own number."""

    id: str | None = None
    item: str | None = None
    quantity: str | None = None
    occurred_at: str | None = None
    date: str | None = None
    time: str | None = None
    reference: str | None = None
    reference_line: str | None = None
    product: str | None = None
    reason: str | None = None
    note: str | None = None
    cost: str | None = None
    unit_cost: str | None = None
    currency: str | None = None
    lot: str | None = None
    expires_on: str | None = None
    area: str | None = None
    actor: str | None = None


class Formats(_Table, frozen=True, kw_only=True):
    """How times are written."""

    occurred_at: str | None = None
    date: str | None = None
    time: str | None = None


class Constants(_Table, frozen=True, kw_only=True):
    """What is the same for every row."""

    item: str | None = None
    time: str | None = None
    reference_kind: str | None = None
    product: str | None = None
    reason: str | None = None
    note: str | None = None
    currency: str | None = None
    area: str | None = None


class Condition(_Table, frozen=True, kw_only=True):
    """What a cell must be; everything said must hold. Texts are compared whole, blanks around a cell are not of it."""

    equals: str | list[str] | None = None
    not_equals: str | list[str] | None = None
    starts: str | list[str] | None = None
    ends: str | list[str] | None = None
    empty: bool | None = None
    below: int | Decimal | None = None
    above: int | Decimal | None = None


class Rule(_Table, frozen=True, kw_only=True):
    """What rows under all conditions of `when` are: events of `type`, skipped, or rejected with a text."""

    when: dict[str, Condition]
    type: EventType | None = None
    skip: bool = False
    reject: str | None = None
    sign: Sign = "as-written"
    reason: str | None = None
    note: str | None = None
    reference_kind: str | None = None


class NewItems(_Table, frozen=True, kw_only=True):
    """How an item that nobody defined is defined, from the first row that names it."""

    unit: str | None = None
    unit_column: str | None = None
    name_column: str | None = None
    category_column: str | None = None


class Lookup(_Table, frozen=True, kw_only=True):
    """A second CSV, beside the imported one: the row whose `key` is this row's column `on` lends its columns."""

    file: str
    key: str
    on: str


class ImportMap(_Table, frozen=True, kw_only=True):
    """A whole map, checked: what is in it can be done, the file's columns aside."""

    source: str
    time_zone: str | None = None
    fold: Literal["earlier", "later"] | None = None
    type: EventType | None = None
    sign: Sign = "as-written"
    skip_items: list[str] = []
    unknown_items: Literal["reject", "create"] = "reject"
    delimiter: str = ","
    decimal: Literal[".", ","] = "."
    header: list[str] | None = None
    columns: Columns
    formats: Formats = Formats()
    constants: Constants = Constants()
    where: dict[str, Condition] = {}
    rules: list[Rule] = []
    new_items: NewItems | None = None
    lookup: dict[str, Lookup] = {}
