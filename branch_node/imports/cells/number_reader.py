"""The numbers of a file: how it writes decimals, thousands, signs and currencies. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Final, NamedTuple

from branch_node.imports.cells.cell_readers import RowRejected
from shared.events import BadQuantity, parse_quantity

THOUSANDS: Final = {".": r"\.", ",": ",", " ": "[ \u00a0\u2009\u202f]", "'": "['\u2019]"}
"""The separators of thousands that a map may name, each with the pattern of what is written for it."""

_MINUS: Final = re.compile("[-\u2212]")
_CODE: Final = re.compile(r"[A-Z]{3}")
_FIGURE: Final = re.compile(r"[0-9]{1,40}(?:\.[0-9]{1,40})?")


class Money(NamedTuple):
    """An amount, and the currency that is written beside it."""

    amount: Decimal
    currency: str | None


class NumberReader:
    """Reads numbers: `.5`, `+3`, `2.5000` (zeros are dropped), `12-` and `(12)` (below zero); `1,000` only if told.

    `decimal` is a point or a comma, `thousands` a key of THOUSANDS; digits stand in threes between them, or it is no
    number. `currencies`: what is written beside amounts -> its code; codes of three capitals mean themselves.
    """

    def __init__(
        self, decimal: str = ".", thousands: str | None = None, currencies: Mapping[str, str] | None = None
    ) -> None:
        self._decimal = decimal
        self._thousands = thousands
        self._currencies = dict(currencies or {})
        grouped = f"[0-9]{{1,3}}(?:{THOUSANDS[thousands]}[0-9]{{3}})+|" if thousands else ""
        self._figure = re.compile(f"({grouped}[0-9]{{0,40}})(?:{re.escape(decimal)}([0-9]{{1,40}}))?").fullmatch
        # The longest first, as one sign may begin with another.
        signs = sorted(self._currencies, key=len, reverse=True)
        self._signs = [sign for sign in signs if sign]

    def quantity(self, text: str) -> int:
        """A quantity in thousandths, exact."""
        if not text.strip():
            raise RowRejected("there is no quantity")
        try:
            return parse_quantity(self._plain(text))
        except BadQuantity as error:
            raise RowRejected(f"the quantity {text.strip()[:40]!r}: {error}") from error

    def number(self, text: str) -> Decimal:
        """A number without currency."""
        return Decimal(self._plain(text))

    def money(self, text: str) -> Money:
        """An amount, with a currency on one of its sides or none."""
        bare, currency = self._without_currency(text.strip())
        try:
            return Money(Decimal(self._plain(bare)), currency)
        except RowRejected:
            raise self._no_number(text) from None

    def amount(self, text: str) -> Decimal:
        """The amount alone, for conditions on a column of prices."""
        return self.money(text).amount

    def _plain(self, text: str) -> str:
        """The canonical text: a minus or none, digits, a point and decimals without trailing zeros."""
        stripped = text.strip()
        if self._decimal == "." and _FIGURE.fullmatch(stripped) and "." not in stripped:
            return stripped
        figure, below = _signed(stripped)
        match = self._figure(figure)
        if match is None or not figure:
            raise self._no_number(text)
        whole, decimals = match.groups()
        if self._thousands is not None:
            whole = re.sub(r"[^0-9]", "", whole)
        decimals = (decimals or "").rstrip("0")
        return f"{'-' if below else ''}{whole or '0'}{'.' if decimals else ''}{decimals}"

    def _without_currency(self, text: str) -> tuple[str, str | None]:
        """The number of an amount, with its minus, and the currency beside it. Other texts come back as they are."""
        if text[-1:].isdigit() and text[:1].isdigit():
            return text, None
        below = text.startswith("(") and text.endswith(")")
        inner = text[1:-1].strip() if below else text
        minus = ""
        if _MINUS.match(inner):
            minus, inner = "-", inner[1:].lstrip()
        currency, rest = self._sign_of(inner)
        if currency is None:
            return text, None
        bare = minus + rest
        return (f"({bare})" if below else bare), currency

    def _sign_of(self, text: str) -> tuple[str | None, str]:
        for sign in self._signs:
            if text.startswith(sign):
                return self._currencies[sign], text[len(sign) :].strip()
            if text.endswith(sign):
                return self._currencies[sign], text[: -len(sign)].strip()
        if _CODE.fullmatch(text[:3]) and not text[3:4].isalpha():
            return text[:3], text[3:].strip()
        if _CODE.fullmatch(text[-3:]) and not text[-4:-3].isalpha():
            return text[-3:], text[:-3].strip()
        return None, text

    def _no_number(self, text: str) -> RowRejected:
        shown = text.strip()[:40]
        if self._decimal == "," and "." in shown and self._thousands != ".":
            more = ": the map says that decimals come after a comma"
        elif self._thousands is None and re.fullmatch(r"-?[0-9]{1,3}(?:([.,' ])[0-9]{3})(?:\1[0-9]{3})*", shown):
            separator = re.sub(r"[-0-9]", "", shown)[0]
            more = f'; if that is a separator of thousands, say so: thousands = "{separator}"'
        elif re.search(r"[0-9]", shown) and re.search(r"[^-+()0-9.,' \u00a0]", shown):
            more = "; signs of currencies are read where [currencies] of the map says what they mean"
        else:
            more = ""
        return RowRejected(f"{shown!r} is no number such as {'12,5' if self._decimal == ',' else '12.5'}{more}")


def _signed(text: str) -> tuple[str, bool]:
    """The text without its sign, and whether that says below zero; a second sign stays, which makes it no number."""
    if text[:1] == "(" and text[-1:] == ")":
        return text[1:-1].strip(), True
    if _MINUS.match(text):
        return text[1:], True
    if len(text) > 1 and _MINUS.match(text[-1]):
        return text[:-1].rstrip(), True
    if text[:1] == "+" and (text[1:2].isdigit() or text[1:2] in (".", ",")):
        return text[1:], False
    return text, False
