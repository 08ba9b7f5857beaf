"""When a row happened: from one column, from two, or from what is the same in every row."""

from __future__ import annotations

from collections.abc import Callable

from branch_node.imports.cells.cell_readers import Cells, RowRejected, in_column, naming_column
from branch_node.imports.cells.memo import Memo
from branch_node.imports.cells.timestamps import MOMENTS, YearOf, year_rule
from branch_node.imports.cells.wall_clock import WallClock
from branch_node.imports.mapping.import_map import ImportMap
from branch_node.imports.mapping.time_columns import column_times, constant_moment

PlaceOf = Callable[[str], int]
"""The place of columns.NAME in a row."""


def moment_reader(import_map: ImportMap, place: PlaceOf, year_of: YearOf | None) -> Callable[[Cells], int]:
    """A reader of a row's moment in microseconds UTC; it raises RowRejected."""
    columns, constants = import_map.columns, import_map.constants
    clock = WallClock(import_map.time_zone, import_map.fold)
    if constants.occurred_at is not None:
        fixed = constant_moment(import_map, constants.occurred_at)
        if fixed is None:
            fixed = clock.moment(column_times(import_map, "occurred_at", year_of).read(constants.occurred_at))
        return lambda _: fixed
    if columns.occurred_at is not None:
        at = place("occurred_at")
        whole = column_times(import_map, "occurred_at", year_of).read
        given = _given(import_map, "date and time")
        moments: Memo[str, int] = Memo(
            naming_column(columns.occurred_at, lambda text: clock.moment(whole(given(text)))), MOMENTS
        )
        return lambda cells: moments[cells[at]]
    date_of = _part(import_map, "date", place, year_of)
    time_of = _part(import_map, "time", place, year_of)
    named = columns.date or columns.time

    def moment(cells: Cells) -> int:
        reading = date_of(cells) + time_of(cells)
        try:
            return clock.moment(reading)
        except ValueError as error:
            raise RowRejected(in_column(named, str(error))) from error

    return moment


def year_of_rows(import_map: ImportMap, now: int | None) -> YearOf | None:
    """The rule of dates without a year; `now` (microseconds UTC) is the import's. Raises ValueError where it lacks."""
    if import_map.year is None:
        return None
    if isinstance(import_map.year, int):
        fixed = import_map.year
        return lambda _month, _day: fixed
    if now is None:
        raise ValueError('year = "latest" needs the time of the import')
    return year_rule(import_map.year, WallClock(import_map.time_zone, import_map.fold).date_at(now))


def _part(import_map: ImportMap, name: str, place: PlaceOf, year_of: YearOf | None) -> Callable[[Cells], int]:
    read = column_times(import_map, name, year_of).read
    constant = getattr(import_map.constants, name)
    if constant is not None:
        fixed = read(constant)
        return lambda _: fixed
    at, given = place(name), _given(import_map, name)
    memo: Memo[str, int] = Memo(
        naming_column(getattr(import_map.columns, name), lambda text: read(given(text))), MOMENTS
    )
    return lambda cells: memo[cells[at]]


def _given(import_map: ImportMap, what: str) -> Callable[[str], str]:
    """The text of a cell, which must not be empty."""
    nothing = frozenset(import_map.null) | {""}

    def given(text: str) -> str:
        if text.strip() in nothing:
            raise RowRejected(f"there is no {what}")
        return text

    return given
