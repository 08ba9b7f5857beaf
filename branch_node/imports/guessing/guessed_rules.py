"""The rules of a first map: rows of totals, of nothing, of other kinds, and below zero. Pure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence

import msgspec

from branch_node.imports.files.csv_records import SourceRecord
from branch_node.imports.guessing.cell_values import Notation, number_in
from branch_node.imports.guessing.column_profile import ColumnProfile
from branch_node.imports.guessing.column_roles import ColumnRoles
from branch_node.imports.guessing.column_words import begins_totals, kind_of_text
from branch_node.imports.guessing.map_text import toml_key, toml_text, toml_value
from branch_node.imports.mapping.import_map import Sign
from shared.events import RULES, EventType
from shared.runtime.text.printable import printable_line


class GuessedRules(msgspec.Struct, frozen=True, kw_only=True):
    """The rules as TOML, in order; the columns that they look at; and the sign of rows that none matches."""

    texts: list[str]
    columns: frozenset[str]
    sign: Sign


def rules_of(roles: ColumnRoles, notation: Notation, totals: Sequence[SourceRecord]) -> GuessedRules:
    """The rules for the rows of the sample; `totals` are those that sum up others."""
    quantity = roles.by_field["quantity"]
    numbers = [number for text in quantity.texts if (number := number_in(text, notation)) is not None]
    below, above = sum(number < 0 for number in numbers), sum(number > 0 for number in numbers)
    texts, columns = list[str](), set[str]()
    if totals:
        texts.append(_totals_rule(roles, totals))
    if below + above < len(numbers):
        count = len(numbers) - below - above
        texts.append(
            _rule(
                f"{_rows(count)} of the quantity 0, which is no sale.",
                f"{toml_key(quantity.name)} = {{ above = -0.001, below = 0.001 }}",
                "skip = true",
            )
        )
    kinds = roles.kinds
    sales: list[str] = []
    if kinds is not None:
        columns.add(kinds.name)
        texts += _kind_rules(kinds, roles.by_field.get("reason"), sales)
    negated = below > above and kinds is None
    if negated and above:
        texts.append(
            _rule(
                f"{_rows(above)} above zero, in a file that writes sales below it.",
                f"{toml_key(quantity.name)} = {{ above = 0 }}",
                f'type = "{EventType.CUSTOMER_RETURN}"',
            )
        )
    elif below and not negated:
        texts.append(
            _rule(
                f"{_rows(below)} below zero: taken for what customers brought back. CHECK whether it is written off.",
                f"{toml_key(quantity.name)} = {{ below = 0 }}",
                f'type = "{EventType.CUSTOMER_RETURN}"',
                'sign = "absolute"',
            )
        )
    if kinds is not None and sales:
        texts.append(
            _rule(
                "",
                f"{toml_key(kinds.name)} = {toml_value(sales)}",
                f'type = "{EventType.ORDER_DEDUCTION}"',
            )
        )
    return GuessedRules(texts=texts, columns=frozenset(columns), sign="negated" if negated else "as-written")


def _totals_rule(roles: ColumnRoles, totals: Sequence[SourceRecord]) -> str:
    """One rule for the column in which most rows of totals say so; each of its texts is named."""
    found: Counter[int] = Counter()
    for row in totals:
        for place, text in enumerate(row.cells):
            if begins_totals(text):
                found[place] += 1
                break
    names = {column.place: column.name for column in roles.columns}
    rules = []
    for place, _ in found.most_common():
        if place not in names:
            continue
        words = dict.fromkeys(
            match[0] for row in totals if begins_totals(row.cells[place]) and (match := _first_word(row.cells[place]))
        )
        rules.append(
            _rule(
                "Rows that sum up others.",
                f"{toml_key(names[place])} = {{ starts = {toml_value(list(words))} }}",
                "skip = true",
            )
        )
    return "\n\n".join(rules)


def _first_word(text: str) -> re.Match[str] | None:
    return re.match(r"\S+", text.strip())


def _kind_rules(kinds: ColumnProfile, reason: ColumnProfile | None, sales: list[str]) -> Iterable[str]:
    counts = Counter(kinds.texts)
    by_type: dict[EventType | None, list[str]] = {}
    for text in counts:
        known, kind = kind_of_text(text)
        if not known:
            yield _rule(
                f"{_rows(counts[text])}. CHECK: say what they are, type = ... or skip = true",
                f"{toml_key(kinds.name)} = {toml_text(text)}",
                f"reject = {toml_text(f'the map does not say yet what {printable_line(text)[:40]} is')}",
            )
        elif kind is EventType.ORDER_DEDUCTION:
            sales.append(text)
        else:
            by_type.setdefault(kind, []).append(text)
    for kind, texts in by_type.items():
        lines = ["skip = true"] if kind is None else [f'type = "{kind}"']
        if kind is not None and kind is not EventType.STOCKTAKE:
            lines.append('sign = "absolute"')
        if kind is not None and "reason" in RULES[kind].required and (reason is None or reason.empty):
            lines.append('reason = "written-off"')
        rows = sum(counts[text] for text in texts)
        moves = "move no stock" if kind is None else f"taken for {kind}"
        yield _rule(f"{_rows(rows)}: {moves}. CHECK", f"{toml_key(kinds.name)} = {toml_value(texts)}", *lines)


def _rows(count: int) -> str:
    return f"In the sample {count} row{'' if count == 1 else 's'}"


def _rule(comment: str, when: str, *lines: str) -> str:
    head = [f"# {comment}"] if comment else []
    return "\n".join([*head, "[[rules]]", f"when = {{ {when} }}", *lines])
