"""The tables of an import map: their keys and types. `map_validation` checks the rules between them."""

from __future__ import annotations

from decimal import Decimal
from typing import Literal

import msgspec

from shared.events import EventType

Sign = Literal["as-written", "negated", "absolute"]
ItemKey = Literal["code", "barcode", "alias"]
BadCell = Literal["reject", "leave-out"]
Factors = dict[str, int | Decimal]
"""Unit of the file -> how many base units are one of it."""

Path = tuple[str | int, ...]
"""The place of a value in a map: keys, and positions in lists."""


class MapFault(Exception):
    """A fault at a path of the map; `map_parser` adds the line."""

    def __init__(self, path: Path, why: str) -> None:
        super().__init__(why)
        self.path = path
        self.why = why


class _Table(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of the TOML tables; unknown keys are refused."""


class Columns(_Table, frozen=True, kw_only=True):
    """The column of each field. `quantity` is also the counted quantity of a STOCKTAKE; `id` is the row's own id."""

    id: str | None = None
    item: str | None = None
    quantity: str | None = None
    unit: str | None = None
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
    """The formats of times; of a list the first that fits."""

    occurred_at: str | list[str] | None = None
    date: str | list[str] | None = None
    time: str | list[str] | None = None
    expires_on: str | list[str] | None = None


class Constants(_Table, frozen=True, kw_only=True):
    """Values that apply to every row."""

    item: str | None = None
    occurred_at: str | None = None
    date: str | None = None
    time: str | None = None
    reference_kind: str | None = None
    product: str | None = None
    reason: str | None = None
    note: str | None = None
    currency: str | None = None
    area: str | None = None


class BadCells(_Table, frozen=True, kw_only=True):
    """What becomes of a cell that is not needed and cannot be read: its row is rejected, or it is left out alone.

    `cost` is also that of columns.unit_cost.
    """

    reference: BadCell = "reject"
    reference_line: BadCell = "reject"
    product: BadCell = "reject"
    note: BadCell = "reject"
    cost: BadCell = "reject"
    lot: BadCell = "reject"
    expires_on: BadCell = "reject"
    actor: BadCell = "reject"


class Condition(_Table, frozen=True, kw_only=True):
    """A condition on a cell; all given keys must hold. Texts are compared whole, without blanks around the cell."""

    equals: str | list[str] | None = None
    not_equals: str | list[str] | None = None
    starts: str | list[str] | None = None
    ends: str | list[str] | None = None
    empty: bool | None = None
    below: int | Decimal | None = None
    above: int | Decimal | None = None


class Rule(_Table, frozen=True, kw_only=True):
    """A rule for the rows that meet all conditions of `when`: events of `type`, skipped, or rejected with a text."""

    when: dict[str, Condition]
    type: EventType | None = None
    skip: bool = False
    reject: str | None = None
    sign: Sign = "as-written"
    reason: str | None = None
    note: str | None = None
    reference_kind: str | None = None


class NewItems(_Table, frozen=True, kw_only=True):
    """How an unknown item is defined, from the first row that names it."""

    unit: str | None = None
    unit_column: str | None = None
    name_column: str | None = None
    category_column: str | None = None


class Lookup(_Table, frozen=True, kw_only=True):
    """A second CSV beside the imported one; its row whose `key` equals this row's column `on` is appended."""

    file: str
    key: str
    on: str


class IdColumn(_Table, frozen=True, kw_only=True):
    """The column within whose values a row's id is unique, such as the till."""

    column: str


class ImportMap(_Table, frozen=True, kw_only=True):
    """A whole map.

    `units` is by base unit, `item_units` by item; `currencies` is what is written beside amounts -> its code.
    """

    source: str
    time_zone: str | None = None
    fold: Literal["earlier", "later"] | None = None
    locale: str = "en"
    year: int | Literal["latest"] | None = None
    type: EventType | None = None
    otherwise: Literal["type", "reject"] | None = None
    sign: Sign = "as-written"
    skip_items: list[str] = []
    item_by: ItemKey | list[ItemKey] = "code"
    item_case: Literal["exact", "fold"] = "exact"
    unknown_items: Literal["reject", "create"] = "reject"
    delimiter: str | None = None
    encoding: str | None = None
    sheet: str | None = None
    header_line: int | None = None
    decimal: Literal[".", ","] = "."
    thousands: Literal[".", ",", " ", "'"] | None = None
    null: list[str] = []
    header: list[str] | None = None
    id_scope: Literal["source", "day", "file"] | IdColumn = "source"
    columns: Columns
    formats: Formats = Formats()
    constants: Constants = Constants()
    currencies: dict[str, str] = {}
    bad_cells: BadCells = BadCells()
    units: dict[str, Factors] = {}
    item_units: dict[str, Factors] = {}
    where: dict[str, Condition] = {}
    rules: list[Rule] = []
    new_items: NewItems | None = None
    lookup: dict[str, Lookup] = {}

    @property
    def unit_column(self) -> str | None:
        """The column of the rows' units; that of new items is it too."""
        return self.columns.unit or (self.new_items.unit_column if self.new_items else None)

    @property
    def item_keys(self) -> list[ItemKey]:
        return self.item_by if isinstance(self.item_by, list) else [self.item_by]

    @property
    def cost_column(self) -> str | None:
        return self.columns.cost or self.columns.unit_cost


def several(given: str | list[str]) -> list[str]:
    """One text, or a list of texts, as a list."""
    return [given] if isinstance(given, str) else given
