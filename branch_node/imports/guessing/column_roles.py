"""Which column is what: by their names first, and by what their cells hold. Pure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from typing import Final

import msgspec

from branch_node.imports.cells import cell_readers as cell
from branch_node.imports.cells.cell_readers import RowRejected
from branch_node.imports.files.cell_texts import MOMENT
from branch_node.imports.guessing.cell_values import (
    NOTATIONS,
    Notation,
    is_barcode,
    number_in,
)
from branch_node.imports.guessing.column_profile import ColumnProfile
from branch_node.imports.guessing.column_words import kind_of_text
from branch_node.imports.rows.import_catalogue import ImportCatalogue

_MOST_KINDS: Final = 20
# A number without a currency beside it.
_FIGURE: Final = re.compile("[-+()0-9., '\u00a0\u2009\u202f\u2212\u2019]+")


class ColumnRoles(msgspec.Struct, kw_only=True):
    """The columns by the field of the map that they are; `ids_repeat`: a column is named like an id, and repeats."""

    columns: list[ColumnProfile]
    by_field: dict[str, ColumnProfile] = {}
    unsure: list[str] = []
    kinds: ColumnProfile | None = None
    store: ColumnProfile | None = None
    till: ColumnProfile | None = None
    price: ColumnProfile | None = None
    name: ColumnProfile | None = None
    category: ColumnProfile | None = None

    def used(self) -> set[int]:
        others = (self.kinds, self.name, self.category)
        return {each.place for each in (*self.by_field.values(), *others) if each is not None}

    def take(self, field: str, column: ColumnProfile | None, *, sure: bool = True) -> None:
        if column is not None:
            self.by_field[field] = column
            if not sure:
                self.unsure.append(field)


def roles_of(columns: list[ColumnProfile], catalogue: ImportCatalogue | None) -> ColumnRoles:
    """The roles of columns; `catalogue` has the node's items. Fields that no column is are left out."""
    roles = ColumnRoles(columns=columns)
    _times(roles)
    roles.kinds = _kinds(roles)
    quantity, sure = _quantity(roles)
    roles.take("quantity", quantity, sure=sure)
    roles.take("unit", _unit(roles))
    roles.take("id", _own_id(roles))
    item, sure = _item(roles, catalogue)
    roles.take("item", item, sure=sure)
    roles.take("reference", _named(roles, "reference", cell.good_id, best=_by_code))
    _reference_as_id(roles)
    for field, check in (
        ("lot", cell.good_lot),
        ("actor", cell.good_person),
        ("reason", cell.good_code),
        ("note", cell.good_text),
    ):
        roles.take(field, _named(roles, field, check))
    free = _free(roles)
    roles.name = _first(free, lambda each: each.says("name") and not each.numeric and _all(each, cell.good_name))
    if roles.name is None:
        roles.name = _first(
            free,
            lambda each: (
                each.says("item")
                and not each.numeric
                and not each.says("code", "category", "kind")
                and _all(each, cell.good_name)
            ),
        )
    free = _free(roles)
    roles.category = _first(
        free, lambda each: each.says("category") and not each.numeric and _all(each, cell.good_name)
    )
    roles.store = _first(free, lambda each: each.says("store") and not each.says("name"))
    roles.till = _first(free, lambda each: each.says("till"))
    roles.price = _first(free, lambda each: each.says("price") and each.numeric)
    cost = _first(free, lambda each: each.says("cost") and each.numeric)
    if cost is not None:
        roles.take("cost" if cost.says("amount") else "unit_cost", cost)
        currency = _first(free, lambda each: each.says("currency") and _all(each, cell.good_currency))
        roles.take("currency", currency)
    return roles


def notation_of(
    column: ColumnProfile, others: Iterable[ColumnProfile], *, comma_first: bool
) -> tuple[Notation, str | None]:
    """The notation that reads most cells of a column, and of others; and a text that another one reads otherwise.

    `comma_first` decides where several read all of them, as in 1,234.
    """
    best: Sequence[Notation] = NOTATIONS
    read: dict[Notation, dict[str, float | None]] = {each: {} for each in NOTATIONS}
    for columns in ([column], list(others)):
        texts = Counter(text for each in columns for text in each.texts)
        for each in best:
            read[each] |= {text: number_in(text, each) for text in texts}
        reads = {each: sum(n for text, n in texts.items() if read[each][text] is not None) for each in best}
        best = [each for each in best if reads[each] == max(reads.values())]
    signed = [each for each in best if (each.decimal == ",") == comma_first]
    chosen = min(signed or best, key=NOTATIONS.index)
    for other in best:
        for text, number in read[other].items():
            if number != read[chosen][text]:
                return chosen, text
    return chosen, None


def _free(roles: ColumnRoles) -> list[ColumnProfile]:
    used = roles.used()
    return [each for each in roles.columns if each.place not in used and each.texts]


def _first(columns: Iterable[ColumnProfile], wanted: Callable[[ColumnProfile], object]) -> ColumnProfile | None:
    return next((each for each in columns if wanted(each)), None)


def _all(column: ColumnProfile, check: Callable[[str], str]) -> bool:
    try:
        for text in set(column.texts):
            check(text.removeprefix(MOMENT))
    except RowRejected:
        return False
    return True


def _named(
    roles: ColumnRoles,
    field: str,
    check: Callable[[str], str],
    best: Callable[[ColumnProfile], int] = lambda _: 0,
) -> ColumnProfile | None:
    """The column that is named as a field, and whose cells can all be recorded as it."""
    found = [
        each
        for each in _free(roles)
        if each.says(field) and each.times is None and not each.says("amount", "price", "cost") and _all(each, check)
    ]
    return max(found, key=lambda each: (best(each), -each.place), default=None)


def _by_code(column: ColumnProfile) -> int:
    return 2 * bool(column.says("code")) - 4 * bool(column.says("item")) - bool(column.says("kind", "store"))


def _times(roles: ColumnRoles) -> None:
    timed = [each for each in roles.columns if each.times is not None and each.texts]
    expiry = _first(timed, lambda each: each.says("expires_on") and each.times and each.times.role == "date")
    roles.take("expires_on", expiry)
    timed = [each for each in timed if not each.says("expires_on")]

    def of(role: str, *fields: str) -> ColumnProfile | None:
        found = [each for each in timed if each.times is not None and each.times.role == role]
        return max(found, key=lambda each: (-each.empty, each.says(*fields), -each.place), default=None)

    moment, day, clock = of("moment", "date", "moment", "time"), of("date", "date", "moment"), of("time", "time")
    if moment is not None and (day is None or moment.empty <= day.empty):
        roles.take("occurred_at", moment)
    elif day is not None:
        roles.take("date", day)
        roles.take("time", clock)


def _kinds(roles: ColumnRoles) -> ColumnProfile | None:
    """The column of kinds: few texts, one of which at least is known, and most if the name does not say it."""

    def known(column: ColumnProfile) -> float:
        texts = set(column.texts)
        return sum(kind_of_text(text)[0] for text in texts) / max(len(texts), 1)

    found = [
        each
        for each in _free(roles)
        if not each.numeric
        and each.times is None
        and each.distinct <= _MOST_KINDS
        and (known(each) >= 0.75 or (each.says("kind") and known(each) > 0))
        and not each.says("name", "category", "note")
        and (each.says("kind") or not each.says("item", "reason", "unit"))
    ]
    return max(found, key=lambda each: (each.says("kind"), known(each), -each.place), default=None)


def _quantity(roles: ColumnRoles) -> tuple[ColumnProfile | None, bool]:
    numeric = [each for each in _free(roles) if each.numeric and all(map(_FIGURE.fullmatch, each.texts))]
    named = [each for each in numeric if each.says("quantity") and not each.says("price", "cost", "amount")]
    if named:
        return max(named, key=lambda each: (each.says("quantity") - each.says("id", "code"), -each.place)), True
    bare = [
        each
        for each in numeric
        if not each.says("price", "cost", "amount", "id", "item", "code", "reference", "store", "till", "actor", "lot")
        and not each.is_unique
        and not any(is_barcode(text) for text in each.texts[:20])
    ]
    return min(bare, key=_unlike_a_quantity, default=None), False


def _unlike_a_quantity(column: ColumnProfile) -> tuple[float, int]:
    """Quantities are small, whole and often 1."""
    ones = sum(re.fullmatch(r"-?1(?:[.,]0+)?", text) is not None for text in column.texts) / len(column.texts)
    longest = max(len(text) for text in column.texts)
    return longest - 4 * ones, column.place


def _unit(roles: ColumnRoles) -> ColumnProfile | None:
    return _first(
        _free(roles),
        lambda each: (
            each.says("unit")
            and not each.numeric
            and not each.empty
            and each.distinct <= 50
            and not each.says("price", "cost", "amount")
            and _all(each, cell.good_unit)
        ),
    )


def _own_id(roles: ColumnRoles) -> ColumnProfile | None:
    """A column that is unique in the sample and named as an id; in a file without names one of rising numbers."""
    made_up = all(each.name == f"column {each.place + 1}" for each in roles.columns)

    def wanted(each: ColumnProfile) -> bool:
        if not each.is_unique or each.times is not None or not _all(each, cell.good_id):
            return False
        if made_up:
            return each.numeric and _rises(each)
        if each.says("item", "quantity", "amount", "price", "barcode", "store", "party"):
            return False
        return bool(each.says("id") or (each.says("code") and not each.says("reference")))

    found = [each for each in _free(roles) if wanted(each)]
    return max(found, key=lambda each: (-each.says("reference"), each.says("id"), -each.place), default=None)


def _reference_as_id(roles: ColumnRoles) -> None:
    """An order's own number is no id of its rows, however unique it is in the first ones."""
    own, paper = roles.by_field.get("id"), roles.by_field.get("reference")
    if own is None or not own.says("reference"):
        return
    # `order_details_id` beside `order_id` is the row's; `order id` alone is the paper's.
    if paper is None and own.fields.get("id", 0) < 2:
        roles.by_field["reference"] = roles.by_field.pop("id")


def _rises(column: ColumnProfile) -> bool:
    try:
        numbers = [int(text) for text in column.texts]
    except ValueError:
        return False
    return all(one < other for one, other in pairwise(numbers))


def _item(roles: ColumnRoles, catalogue: ImportCatalogue | None) -> tuple[ColumnProfile | None, bool]:
    def good(each: ColumnProfile) -> bool:
        if each.says("price", "cost", "amount", "quantity", "currency") or each.times is not None:
            return False
        bad = sum(not _can_be_item(text) for text in set(each.texts))
        return bad <= 0.02 * each.distinct

    def score(each: ColumnProfile) -> float:
        texts = list(dict.fromkeys(each.texts))[:200]
        points = 4.0 * bool(each.says("item")) + 3 * bool(each.says("barcode")) + 1.5 * bool(each.says("code"))
        points -= 4 * bool(
            each.says("category", "store", "party", "till", "actor", "reason", "note", "unit", "kind", "lot")
        )
        points -= 5 * bool(each.says("reference") and not each.says("item"))
        points -= 2 * bool(each.says("name"))
        points += 2 * (bool(texts) and all(map(is_barcode, texts)))
        points -= 1.0 * (each.numeric and not each.says("item", "code", "barcode") and not all(map(is_barcode, texts)))
        points -= 2 * each.empty / max(each.empty + len(each.texts), 1)
        points += 0.5 * (each.distinct < len(each.texts))
        points += min(each.distinct, 20) / 40
        if catalogue is not None and texts:
            points += 8 * sum(known_as(text, catalogue) is not None for text in texts) / len(texts)
        return points

    found = [(score(each), -each.place, each) for each in _free(roles) if good(each)]
    if not found:
        return None, False
    points, _, best = max(found, key=lambda each: each[:2])
    return best, points >= 3


def known_as(text: str, catalogue: ImportCatalogue) -> str | None:
    """As what a text names one of the node's items: `code`, `folded`, `barcode` or `alias`; None where it does not."""
    written = cell.composed(text)
    if catalogue.unit_of(written) is not None:
        return "code"
    if len(catalogue.by_barcode(written)) == 1:
        return "barcode"
    if len(catalogue.by_alias(written)) == 1:
        return "alias"
    return "folded" if len(catalogue.by_folded_code(written.casefold())) == 1 else None


def _can_be_item(text: str) -> bool:
    try:
        cell.good_item(cell.composed(text))
    except RowRejected:
        return False
    return True
