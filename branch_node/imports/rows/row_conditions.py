"""The conditions of a map, as tests of a row's cells."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

from branch_node.imports.cells.cell_readers import Cells
from branch_node.imports.mapping.import_map import Condition, several

CellTest = Callable[[Cells], bool]


def cell_tests(
    place: int, condition: Condition, number: Callable[[str], Decimal], null: frozenset[str] = frozenset()
) -> list[CellTest]:
    """The tests of a condition on the cell at `place`, which it must all pass. Blanks around it are ignored.

    Texts in `null` are empty cells, and texts as well.
    """
    tests: list[CellTest] = []
    if condition.equals is not None:
        wanted = frozenset(several(condition.equals))
        tests.append(lambda cells: cells[place].strip() in wanted)
    if condition.not_equals is not None:
        unwanted = frozenset(several(condition.not_equals))
        tests.append(lambda cells: cells[place].strip() not in unwanted)
    if condition.starts is not None:
        starts = tuple(several(condition.starts))
        tests.append(lambda cells: cells[place].strip().startswith(starts))
    if condition.ends is not None:
        ends = tuple(several(condition.ends))
        tests.append(lambda cells: cells[place].strip().endswith(ends))
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
