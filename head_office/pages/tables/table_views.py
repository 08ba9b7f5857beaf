"""The views of reports that are tables: headings in words, cells as figures, moments, names or texts. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final
from zoneinfo import ZoneInfo

from markupsafe import Markup

from shared.runtime.clock import parse_rfc3339
from shared.runtime.pages.words import exact_time, figure
from shared.runtime.text.csv_writer import CsvCell

_MOMENTS: Final = frozenset({"occurred_at", "first_at", "last_at"})
_HIDDEN: Final = frozenset({"event_id", "recorded_as"})
"""Columns that only the file has."""
_SIGNED: Final = frozenset({"variance"})
_TEXTS: Final = frozenset({"location_id", "item_id", "unit", "product", "order_id", "source", *_MOMENTS, "incomplete"})
_WORDS: Final = {
    "location_id": "Location",
    "item_id": "Item",
    "order_id": "Order",
    "product": "Dish or product",
    "occurred_at": "When",
    "first_at": "First",
    "last_at": "Last",
    "short": "Short",
    "expected_when_posted": "Expected when counted",
    "incomplete": "Complete",
}


@dataclass(frozen=True)
class ColumnView:
    """A column of a table: its heading, and whether figures stand in it."""

    name: str
    words: str
    number: bool


@dataclass(frozen=True)
class CellView:
    """A cell: what is read, and the code below it where that is a name. `head`: it names its row.

    `when`: it is a moment."""

    text: Markup | str
    code: str = ""
    number: bool = False
    below: bool = False
    head: bool = False
    when: bool = False


def column_views(names: Iterable[str]) -> list[ColumnView]:
    """The columns that are shown of those of a file."""
    return [
        ColumnView(name, _WORDS.get(name, name.replace("_", " ").capitalize()), name not in _TEXTS)
        for name in names
        if name not in _HIDDEN
    ]


def row_view(
    names: Sequence[str], cells: Sequence[CsvCell], known: Mapping[str, Mapping[str, str]], zone: ZoneInfo
) -> list[CellView]:
    """The cells of a row. `known`: for a column of codes the name of each code that has one."""
    return [
        _cell(name, value, known.get(name, {}), zone)
        for name, value in zip(names, cells, strict=True)
        if name not in _HIDDEN
    ]


def codes_of(column: str, names: Sequence[str], rows: Iterable[Sequence[CsvCell]]) -> list[str]:
    """The codes that stand in a column."""
    if column not in names:
        return []
    place = list(names).index(column)
    return sorted({str(row[place]) for row in rows if row[place] is not None})


def _cell(name: str, value: Any, known: Mapping[str, str], zone: ZoneInfo) -> CellView:
    if name == "incomplete":
        return CellView("not known: an event is in quarantine" if value == "true" else "yes")
    if name in _MOMENTS and value is not None:
        return CellView(exact_time(parse_rfc3339(str(value))[0], zone), when=True)
    if isinstance(value, int | Decimal):
        text = format(Decimal(value), "f")
        return CellView(figure(text, signed=name in _SIGNED), number=True, below=name == "variance" and value < 0)
    head = name == "item_id"
    if value is None:
        return CellView("none", head=head)
    code = str(value)
    shown = known.get(code, code)
    return CellView(shown, "" if shown == code else code, number=name not in _TEXTS, head=head)
