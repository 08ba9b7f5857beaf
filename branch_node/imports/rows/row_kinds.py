"""What a row is by the rules of the map: an event of some type, nothing to record, or a reject."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from branch_node.imports.cells.cell_readers import Cells, RowRejected, composed
from branch_node.imports.mapping.import_map import Condition, ImportMap, Rule, Sign, several
from branch_node.imports.mapping.map_words import listed, nearest
from branch_node.imports.rows.row_conditions import CellTest
from shared.events import RULES, EventType

# Columns of data have other values than the few that a rule may look for; a column of kinds is none of these.
_DATA: Final = (
    "id", "item", "quantity", "occurred_at", "date", "time", "reference", "reference_line", "product", "note", "cost",
    "unit_cost", "lot", "expires_on", "actor",
)  # fmt: skip


class RowKind(msgspec.Struct, frozen=True):
    """The kind of event that a rule, or the map's default, makes of a row."""

    type: EventType
    sign: Sign
    signed: bool
    counts: bool
    needs_reason: bool
    reason: str | None
    note: str | None
    reference_kind: str


class _KindColumn(msgspec.Struct, frozen=True):
    """A column whose values the rules list, and so one in which another value is not understood."""

    name: str
    place: int
    values: frozenset[str]


class RowKinds:
    """Finds the kind of a row. `tests` makes tests of conditions, `place` finds columns, for a key of the map."""

    def __init__(
        self,
        import_map: ImportMap,
        tests: Callable[[Mapping[str, Condition], str], list[CellTest]],
        place: Callable[[str, str], int],
    ) -> None:
        self._reference_kind = import_map.constants.reference_kind or "order"
        self._rules = [
            (tests(rule.when, f"rules[{number}].when"), rule, self._kind_of(rule))
            for number, rule in enumerate(import_map.rules, 1)
        ]
        self._default = None if import_map.type is None else self._kind(import_map.type, import_map.sign)
        self._empty = frozenset(import_map.null) | {""}
        self._refuses = import_map.otherwise == "reject"
        found = [] if import_map.otherwise == "type" else _kind_columns(import_map)
        self._columns = [_KindColumn(name, place(name, f"rules.{name}"), values) for name, values in found]

    def kind_of(self, cells: Cells) -> RowKind | None:
        """The row's kind, None where the map skips it. Raises RowRejected."""
        for tests, rule, kind in self._rules:
            for test in tests:
                if not test(cells):
                    break
            else:
                if rule.reject is not None:
                    raise RowRejected(rule.reject)
                return kind
        if self._columns or self._refuses or self._default is None:
            self._refuse(cells)
        return self._default

    def _refuse(self, cells: Cells) -> None:
        """Refuse a row that no rule matches, unless it is of the map's type beyond doubt."""
        for column in self._columns:
            text = composed(cells[column.place])
            own = self._default is not None and text == self._default.type
            if text not in self._empty and text not in column.values and not own:
                raise RowRejected(
                    f"no rule of the map names {text[:40]!r} in column {column.name!r}{nearest(text, column.values)}; "
                    f"named are {listed(sorted(column.values))}; "
                    'with otherwise = "type" such rows are of the map\'s type'
                )
        if self._refuses or self._default is None:
            raise RowRejected("no rule of the map says what this row is")

    def _kind_of(self, rule: Rule) -> RowKind | None:
        return None if rule.type is None else self._kind(rule.type, rule.sign, rule)

    def _kind(self, kind: EventType, sign: Sign, rule: Rule | None = None) -> RowKind:
        return RowKind(
            type=kind,
            sign=sign,
            signed=RULES[kind].signed,
            counts=kind == EventType.STOCKTAKE,
            needs_reason="reason" in RULES[kind].required,
            reason=rule.reason if rule else None,
            note=rule.note if rule else None,
            reference_kind=(rule.reference_kind if rule else None) or self._reference_kind,
        )


def _kind_columns(import_map: ImportMap) -> list[tuple[str, frozenset[str]]]:
    """The columns that rules compare by `equals` and that hold kinds, each with all the texts that rules name.

    A column that a rule looks at in an open way (how it begins or ends, below or above a number) is one of data.
    """
    columns = import_map.columns
    data = {getattr(columns, field) for field in _DATA}
    values: dict[str, set[str]] = {}
    for rule in import_map.rules:
        for name, condition in rule.when.items():
            if any(each is not None for each in (condition.starts, condition.ends, condition.below, condition.above)):
                data.add(name)
            if condition.equals is not None:
                values.setdefault(name, set()).update(map(composed, several(condition.equals)))
    return [(name, frozenset(found)) for name, found in values.items() if name not in data]
