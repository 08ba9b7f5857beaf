"""Readers of single cells: numbers, checked texts, conditions. Pure; a bad cell raises RowRejected with the reason."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Final

from branch_node.commands.event_inputs import is_day
from branch_node.imports.mapping.import_map import Condition
from shared.events import BadQuantity, code_fault, name_fault, parse_quantity, text_fault

Cells = Sequence[str]
CellTest = Callable[[Cells], bool]

_MILLIONTH: Final = Decimal("0.000001")
_NUMBER: Final = re.compile(r"-?[0-9]{1,20}(\.[0-9]{1,20})?")
_CURRENCY: Final = re.compile(r"[A-Z]{3}")


class RowRejected(ValueError):
    """A row that cannot be recorded; the text says why."""


class NumberReader:
    """Reads the file's numbers: `.5`, `+3` and `2.5000` (zeros are dropped), not `1,000`."""

    def __init__(self, *, decimal_comma: bool) -> None:
        self._decimal_comma = decimal_comma

    def quantity(self, text: str) -> int:
        """A quantity in thousandths, exact."""
        if not text.strip():
            raise RowRejected("there is no quantity")
        try:
            return parse_quantity(self._plain(text))
        except BadQuantity as error:
            raise RowRejected(f"the quantity {text.strip()[:40]!r}: {error}") from error

    def number(self, text: str) -> Decimal:
        written = self._plain(text)
        if _NUMBER.fullmatch(written) is None:
            raise RowRejected(f"{text.strip()[:40]!r} is no number such as 12.5")
        return Decimal(written)

    def _plain(self, text: str) -> str:
        text = text.strip()
        if self._decimal_comma:
            if "." in text:
                raise RowRejected(f"{text[:40]!r} is no number: the map says that decimals come after a comma")
            text = text.replace(",", ".")
        if text[:1] == "+" and text[1:2].isdigit():
            text = text[1:]
        whole, point, decimals = text.partition(".")
        if not (point and decimals.isascii() and decimals.isdigit()):
            return text
        decimals = decimals.rstrip("0")
        whole = whole + "0" if whole in ("", "-") else whole
        return f"{whole}.{decimals}" if decimals else whole


def amount_text(amount: Decimal) -> str:
    """The shortest text of a cost, rounded half to even at six decimals, as a price times a weight may have more."""
    if amount.copy_abs() >= 10**15:
        raise RowRejected(f"the cost {amount:f} has more than 15 digits")
    rounded = amount.quantize(_MILLIONTH, ROUND_HALF_EVEN)
    # Without it, -0 would be written with its sign.
    text = format(rounded if rounded else abs(rounded), "f")
    return text.rstrip("0").rstrip(".")


def good_code(text: str) -> str:
    return _good(text, 64, code_fault(text))


def good_item(text: str) -> str:
    """An item's code; `.` and `..` name no item in an address."""
    return _good(text, 64, "it is no item's code" if text in (".", "..") else code_fault(text))


def good_person(text: str) -> str:
    """Who did it: with who imports it, an actor of the log."""
    return _good(text, 31, code_fault(text))


def good_name(text: str) -> str:
    return _good(text, 1_000, name_fault(text))


def good_id(text: str) -> str:
    return _good(text, 200, code_fault(text))


def good_text(text: str) -> str:
    return _good(text, 1_000, text_fault(text))


def good_currency(text: str) -> str:
    return _good(text, 3, None if _CURRENCY.fullmatch(text) else "it is no currency such as USD")


def good_day(text: str) -> str:
    return _good(text, 10, None if is_day(text) else "it is no day since 2000 such as 2026-01-31")


def _good(text: str, longest: int, fault: str | None) -> str:
    if len(text) > longest:
        raise RowRejected(f"{text[:40]!r}… has {len(text)} characters, at most {longest} are kept")
    if fault is not None:
        raise RowRejected(f"{text[:40]!r}: {fault}")
    return text


def cell_tests(place: int, condition: Condition, number: Callable[[str], Decimal]) -> list[CellTest]:
    """The tests of a condition on the cell at `place`, which it must all pass. Blanks around it are ignored."""
    tests: list[CellTest] = []
    if condition.equals is not None:
        wanted = frozenset([condition.equals] if isinstance(condition.equals, str) else condition.equals)
        tests.append(lambda cells: cells[place].strip() in wanted)
    if condition.not_equals is not None:
        unwanted = frozenset([condition.not_equals] if isinstance(condition.not_equals, str) else condition.not_equals)
        tests.append(lambda cells: cells[place].strip() not in unwanted)
    if condition.starts is not None:
        starts = condition.starts if isinstance(condition.starts, str) else tuple(condition.starts)
        tests.append(lambda cells: cells[place].strip().startswith(starts))
    if condition.ends is not None:
        ends = condition.ends if isinstance(condition.ends, str) else tuple(condition.ends)
        tests.append(lambda cells: cells[place].strip().endswith(ends))
    if condition.empty is not None:
        empty = condition.empty
        tests.append(lambda cells: (not cells[place].strip()) is empty)
    if condition.below is not None:
        below = Decimal(condition.below)
        tests.append(lambda cells: number(cells[place]) < below)
    if condition.above is not None:
        above = Decimal(condition.above)
        tests.append(lambda cells: number(cells[place]) > above)
    return tests
