"""The first map of a file: TOML with a comment for all that was guessed, which imports the file unedited.

Pure but for the sample: the file's rows, the node's items and the moment are arguments.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

import msgspec

from branch_node.imports.cells import cell_readers as cell
from branch_node.imports.cells.month_names import folded
from branch_node.imports.files.csv_records import SourceRecord
from branch_node.imports.guessing.column_profile import ColumnProfile, profile
from branch_node.imports.guessing.column_roles import ColumnRoles, known_as, notation_of, roles_of
from branch_node.imports.guessing.column_words import begins_totals
from branch_node.imports.guessing.file_sample import FileSample
from branch_node.imports.guessing.guessed_rules import GuessedRules, rules_of
from branch_node.imports.guessing.map_text import MapText, toml_text
from branch_node.imports.guessing.time_guess import place_months_first, write_times
from branch_node.imports.mapping.map_words import listed
from branch_node.imports.rows.import_catalogue import ImportCatalogue
from branch_node.model import Location
from shared.runtime.text.printable import printable_line

_OWN: Final = ("occurred_at", "date", "time", "item", "quantity", "unit", "id", "reference")
_REST: Final = ("reason", "note", "unit_cost", "cost", "currency", "lot", "expires_on", "actor")
_MASS: Final = {"mg": -6, "g": -3, "gr": -3, "kg": 0}
_VOLUME: Final = {"ml": -3, "cl": -2, "dl": -1, "l": 0, "lt": 0, "ltr": 0}


class GuessFailed(Exception):
    """A column that every map needs was not found; the text says which, and which there are."""


class GuessContext(msgspec.Struct, frozen=True, kw_only=True):
    """What is known besides the file. `written_at`: when the file was last written, microseconds UTC."""

    name: str
    location: Location | None
    catalogue: ImportCatalogue | None
    written_at: int


def guess_map(sample: FileSample, context: GuessContext) -> str:
    """The text of the map. Raises GuessFailed."""
    month_first = place_months_first(context.location)
    totals = _totals(sample)
    rows = [row for row in sample.full_rows if row not in totals]
    if not rows:
        raise GuessFailed("it has no rows below its header")
    columns = [
        profile(name, place, [row.cells[place] for row in rows], month_first=month_first)
        for place, name in enumerate(sample.columns)
    ]
    usable = [each for each in columns if each.place not in sample.unusable]
    roles = roles_of(usable, context.catalogue)
    missing = [field for field in ("item", "quantity") if field not in roles.by_field]
    if missing:
        raise GuessFailed(
            f"no column of it looks like {' or '.join(_MISSING[field] for field in missing)}; "
            f"its columns are {listed(map(printable_line, sample.columns))}"
            f"{'; names that stand twice cannot be used' if sample.unusable else ''}"
        )
    return _MapDraft(sample, context, roles, rows, totals).text()


_MISSING: Final = {"item": "an item", "quantity": "a quantity"}


class _MapDraft:
    def __init__(
        self,
        sample: FileSample,
        context: GuessContext,
        roles: ColumnRoles,
        rows: Sequence[SourceRecord],
        totals: Sequence[SourceRecord],
    ) -> None:
        self._sample, self._context, self._roles = sample, context, roles
        self._rows = rows
        quantity = roles.by_field["quantity"]
        amounts = [each for each in roles.columns if each.numeric and each.says("price", "cost", "amount")]
        comma_first = sample.delimiter == ";"
        self._notation, self._ambiguous = notation_of(
            quantity, [each for each in amounts if each is not quantity], comma_first=comma_first
        )
        self._rules: GuessedRules = rules_of(roles, self._notation, totals)
        self._out = MapText()

    def text(self) -> str:
        self._say_file()
        self._say_layout()
        self._say_items()
        self._say_columns()
        write_times(self._out, self._roles, self._context.location, self._context.written_at)
        self._say_costs()
        self._say_units()
        self._say_store()
        for rule in self._rules.texts:
            self._out.block(rule)
        self._say_new_items()
        return self._out.text()

    def _say_file(self) -> None:
        out, sample = self._out, self._sample
        out.comment(
            f"A first map of {printable_line(self._context.name)}, guessed from {len(sample.rows)} of its rows."
        )
        out.comment(
            "It imports as it is. Look at every line, and at what --dry-run shows, before it is the till's map:"
        )
        out.comment("larder branch import FILE --map MAP --dry-run")
        if not sample.named:
            out.comment("The file has no header: its columns were told by their cells alone, and are named by number.")
            if sample.titles:
                out.comment("Lines of titles before the rows are rejected: take them out of the file.")
        for name in self._roles.unsure:
            column = printable_line(self._roles.by_field[name].name)
            out.comment(f"CHECK: the column {column!r} was taken for {name} by its cells, not by its name.")
        out.blank()
        out.top("source", _source(self._context.name), "which till or system: the same in all maps of its files")

    def _say_layout(self) -> None:
        out, sample = self._out, self._sample
        if self._roles.kinds is None:
            out.comment(
                "CHECK: no column says what rows are: taken for sales. Deliveries are PURCHASE_RECEIVED, counts"
            )
            out.comment(
                "STOCKTAKE (with the column of areas as area in [columns]), what is thrown away WASTE_RECORDED."
            )
        out.top("type", "ORDER_DEDUCTION", "what a row is that no rule below names: a sale")
        if self._rules.sign != "as-written":
            out.top("sign", self._rules.sign, "most quantities are below zero, so this is how the file writes sales")
        if sample.encoding is not None:
            sure = (
                "" if sample.encoding_is_sure else "it is no UTF-8; CHECK letters with accents, else try cp1256, cp1251"
            )
            out.top("encoding", sample.encoding, sure)
        elif not sample.encoding_is_sure:
            out.comment("CHECK: some bytes of the file are no UTF-8. Their rows are rejected")
        if sample.delimiter is not None:
            out.top("delimiter", sample.delimiter)
        if sample.header_line is not None:
            out.top("header_line", sample.header_line, "titles stand above the names of the columns")
        if sample.is_workbook:
            out.comment('The first sheet that is not hidden is read; for another one: sheet = "Name"')
        if not sample.named:
            out.top("header", list(sample.columns), "rename them here and below as you like")
        notation = self._notation
        said = ""
        if self._ambiguous is not None:
            said = f"AMBIGUOUS: {printable_line(self._ambiguous)} can be read in two ways; CHECK it, and thousands"
        if notation.decimal != "." or said:
            out.top("decimal", notation.decimal, said)
        if notation.thousands is not None:
            out.top("thousands", notation.thousands)
        nulls = sorted({text for each in self._roles.columns for text in each.nulls})
        if nulls:
            out.top("null", nulls, "texts that stand for an empty cell")

    def _say_items(self) -> None:
        out, catalogue = self._out, self._context.catalogue
        texts = list(dict.fromkeys(self._roles.by_field["item"].texts))
        known = [] if catalogue is None else [known_as(text, catalogue) for text in texts]
        kinds = {each for each in known if each is not None}
        if kinds - {"code", "folded"}:
            keys = [each for each in ("code", "barcode", "alias") if each in kinds or each == "code"]
            out.top("item_by", keys, "how the texts of the file name the node's items")
        if "folded" in kinds:
            out.top("item_case", "fold", "some codes differ from the node's in capitals alone")
        self._creates = not known or None in known
        if self._creates:
            unknown = sum(each is None for each in known)
            why = (
                f"{unknown} of {len(texts)} codes in the sample are not defined here" if known else "no node was given"
            )
            out.top("unknown_items", "create", f"{why}; CHECK: misspelt codes become items")
        else:
            out.top("unknown_items", "reject", "all codes in the sample are defined; others are rejected")

    def _say_columns(self) -> None:
        out, roles, sample = self._out, self._roles, self._sample
        own, till = roles.by_field.get("id"), roles.till
        if own is not None:
            out.comment(
                "A row is known by its id: no file records it twice. It is unique in the sample; where it is not"
            )
            scope = toml_text(till.name) if till is not None else '"till"'
            out.comment(f'in all files, say within what: id_scope = "day", or "file", or {{ column = {scope} }}')
        else:
            out.comment(
                "No column is an id of rows: a file is known by its bytes, and a row by its line. A longer file"
            )
            out.comment("continues a shorter one; the same rows in another file would be recorded again.")
        out.table("columns")
        for field in (*_OWN, *_REST):
            column = roles.by_field.get(field)
            if column is not None and self._is_written(field):
                out.entry(field, column.name, _shown(column))
        rest = [
            printable_line(each.name)
            for each in roles.columns
            if each.place not in roles.used() and each.name not in self._rules.columns
        ]
        if rest:
            out.comment(f"Not used: {listed(rest)}")
        if sample.unusable:
            shown = listed(printable_line(sample.columns[place]) for place in sorted(sample.unusable))
            out.comment(f"Names that stand twice, or are empty, cannot be used: {shown}")
        if roles.price is not None:
            price = printable_line(roles.price.name)
            out.comment(
                f"{price!r} looks like what customers pay, no cost. If it is a cost: unit_cost, and a currency."
            )

    def _is_written(self, field: str) -> bool:
        return field not in ("cost", "unit_cost", "currency") or self._currencies() is not None

    def _currencies(self) -> dict[str, str] | None:
        """What stands beside costs; None where no currency is to be found."""
        column = self._roles.by_field.get("cost") or self._roles.by_field.get("unit_cost")
        if column is None:
            return None
        signs, bare = dict[str, str](), False
        for text in set(column.texts):
            sign = re.sub(r"[-+()0-9.,' \u00a0\u2009\u202f\u2212\u2019]", "", text)
            bare = bare or not sign
            if sign in _SIGNS:
                signs[sign] = _SIGNS[sign]
        return None if bare and "currency" not in self._roles.by_field else signs

    def _say_costs(self) -> None:
        column = self._roles.by_field.get("cost") or self._roles.by_field.get("unit_cost")
        if column is None:
            return
        signs = self._currencies()
        if signs is None:
            name = toml_text(column.name)
            self._out.comment(f"Costs are left out, as no currency is said: unit_cost = {name} in [columns], and")
            self._out.comment('[constants] currency = "EUR"')
        elif signs:
            self._out.table("currencies")
            for sign, code in signs.items():
                self._out.entry(sign, code, "CHECK which dollar" if sign == "$" else "")

    def _say_units(self) -> None:
        unit = self._roles.by_field.get("unit")
        if unit is None:
            return
        out, catalogue = self._out, self._context.catalogue
        units = dict.fromkeys(unit.texts)
        bases = dict.fromkeys(units)
        if catalogue is not None:
            for text in dict.fromkeys(self._roles.by_field["item"].texts):
                base = catalogue.unit_of(cell.composed(text))
                if base is not None:
                    bases[base] = None
        for base in bases:
            factors = {text: _factor(text, base) for text in units if text != base}
            found = {text: factor for text, factor in factors.items() if factor is not None}
            if found:
                out.table(f"units.{toml_text(base)}")
                out.comment(f"for items that are kept in {printable_line(base)}")
                for text, factor in found.items():
                    out.raw(text, factor)
        odd = [text for text in units if not any(_factor(text, base) for base in bases if base != text)]
        if len(units) > 1 and odd:
            shown = listed(map(printable_line, odd))
            out.comment(f"No factor is known for {shown}: items kept in another unit need one, as in [item_units.CODE]")

    def _say_store(self) -> None:
        store = self._roles.store
        if store is None or store.distinct < 2:
            return
        location = self._context.location
        own = [] if location is None else [folded(location.location_id), folded(location.name)]
        values = list(dict.fromkeys(store.texts))
        mine = next((text for text in values if folded(text) in own), None)
        if mine is not None:
            self._out.comment("Other stores' rows are left out, as one of them is this location.")
            self._out.table("where")
            self._out.entry(store.name, mine, listed(map(printable_line, values[:5])))
            return
        shown = listed(map(printable_line, values[:5]))
        self._out.comment(f"CHECK: the rows are of several stores ({shown}). All are imported here. For one of them:")
        self._out.comment("[where]")
        self._out.comment(f"{toml_text(store.name)} = {toml_text(values[0])}")

    def _say_new_items(self) -> None:
        if not self._creates:
            return
        out, roles = self._out, self._roles
        out.table("new_items")
        if "unit" in roles.by_field:
            out.comment("A new item is kept in the unit of its first row.")
        else:
            out.entry("unit", "piece", "CHECK: the file does not say in which unit its quantities are")
        for key, column in (("name_column", roles.name), ("category_column", roles.category)):
            if column is not None:
                out.entry(key, column.name)


_SIGNS: Final = {
    "€": "EUR", "£": "GBP", "¥": "JPY", "₹": "INR", "₺": "TRY", "zł": "PLN", "US$": "USD", "$": "USD",
}  # fmt: skip


def _totals(sample: FileSample) -> list[SourceRecord]:
    """Rows that sum up the others: one of their cells says so, and others are empty."""
    found = []
    for row in sample.full_rows:
        filled = [text for text in row.cells if text.strip()]
        if len(filled) < len(row.cells) and any(begins_totals(text) for text in filled[:2]):
            found.append(row)
    return found if len(found) <= len(sample.rows) // 2 else []


def _shown(column: ColumnProfile) -> str:
    """The first texts of a column, as a comment."""
    texts = [printable_line(text.lstrip("\x1d"))[:24] for text in dict.fromkeys(column.texts[:200])]
    return f"as in {', '.join(texts[:3])}"


def _source(name: str) -> str:
    """The name of a till from that of a file, without what counts or dates it."""
    stem = name.split(".", maxsplit=1)[0]
    words = [word for word in re.split(r"[^A-Za-z]+", stem) if word]
    return "-".join(words)[:40].strip("-").lower() or "till"


def _factor(unit: str, base: str) -> str | None:
    """How many `base` are one `unit`, as TOML; None where that is not known."""
    for known in (_MASS, _VOLUME):
        one, other = known.get(folded(unit)), known.get(folded(base))
        if one is not None and other is not None:
            power = one - other
            return str(10**power) if power >= 0 else f"0.{'0' * (-power - 1)}1"
    return None
