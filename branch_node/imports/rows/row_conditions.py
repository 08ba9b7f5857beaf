"""The conditions of a map, as tests of a row's cells."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from unicodedata import normalize

from branch_node.imports.cells.cell_readers import Cells, composed
from branch_node.imports.mapping.import_map import Condition, several

CellTest = Callable[[Cells], bool]


def cell_tests(
    place: int, condition: Condition, number: Callable[[str], Decimal], null: frozenset[str] = frozenset()
) -> list[CellTest]:
    """The tests of a condition on the cell at `place`, which it must all pass.

    Blanks around it and the form of its letters (composed or not) are ignored. Texts in `null` are empty
    cells, and texts as well.
    """
    tests: list[CellTest] = []
    if condition.equals is not None:
        wanted = frozenset(map(composed, several(condition.equals)))
        tests.append(lambda cells: composed(cells[place]) in wanted)
    if condition.not_equals is not None:
        unwanted = frozenset(map(composed, several(condition.not_equals)))
        tests.append(lambda cells: composed(cells[place]) not in unwanted)
    if condition.starts is not None:
        starts = tuple(normalize("NFC", each) for each in several(condition.starts))
        tests.append(lambda cells: composed(cells[place]).startswith(starts))
    if condition.ends is not None:
        ends = tuple(normalize("NFC", each) for each in several(condition.ends))
        tests.append(lambda cells: composed(cells[place]).endswith(ends))
    if condition.empty is not None:
        empty, nothing = condition.empty, null | {""}
        tests.append(lambda cells: (cells[place].strip() in nothing) is empty)
    if condition.below is not None:
        below = Decimal(condition.below)
        tests.append(lambda cells: number(cells[place]) < below)
    if condition.above is not None:
        above = Decimal(condition.above)
        tests.append(lambda cells: number(cells[place]) > above)
    return tests
