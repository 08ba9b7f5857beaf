"""`larder head-office report variance`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final

import typer

from head_office.cli.office_database import DatabaseUrl, Directory
from head_office.cli.reports.table_listing import (
    AfterRow,
    AsKnownAt,
    CsvFile,
    ListingQuestion,
    OccurredFrom,
    OccurredTo,
    OfItem,
    OfLocation,
    RowLimit,
    TableLayout,
    asked_scope,
    figure_cell,
    figure_text,
    show_table,
)
from head_office.reports.variance.variance_sums import VarianceBy
from head_office.reports.variance.variance_table import ItemVarianceRecord, LocationVarianceRecord, variance_table
from shared.runtime.cli.output import UTC, AsJson, short_time


def variance_report(
    *,
    location: OfLocation = None,
    item: OfItem = None,
    begin: OccurredFrom = None,
    end: OccurredTo = None,
    by: Annotated[
        VarianceBy, typer.Option("--by", case_sensitive=False, help="A row for each count, or sums of them.")
    ] = VarianceBy.COUNT,
    known_at: AsKnownAt = None,
    after: AfterRow = None,
    limit: RowLimit = 1_000,
    csv: CsvFile = None,
    folder: Directory = None,
    database_url: DatabaseUrl = None,
    as_json: AsJson = False,
) -> None:
    """What counts found, against what the book says by now. Shrinkage is what was missing, surplus what was over."""
    words = {"--by": by.value}
    question = ListingQuestion("variance", words, location, item, begin, end, known_at, after, limit, csv)
    with asked_scope(question, folder, database_url) as scope:
        show_table(scope, variance_table(by), question, _LAYOUTS[by], as_json=as_json)


def _count_cells(row: Mapping[str, Any]) -> Sequence[object]:
    code = row["recorded_as"]
    return (
        *(short_time(row["occurred_at"], UTC), row["location_id"], row["item_id"]),
        None if code == row["item_id"] else code,
        *(figure_text(row["counted"]), figure_text(row["expected"]), _change(row["variance"]), row["unit"]),
        "incomplete" if row["incomplete"] else None,
    )


def _sum_cells(row: ItemVarianceRecord | LocationVarianceRecord) -> Sequence[object]:
    subject = (row.item_id, row.locations) if isinstance(row, ItemVarianceRecord) else (row.location_id, row.items)
    return (
        *subject,
        *(row.counts, row.short or None, row.over or None, figure_cell(row.shrinkage), figure_cell(row.surplus)),
        *(_change(row.variance), row.unit, "incomplete" if row.incomplete else None),
    )


def _change(figure: Any) -> str:
    text = figure_text(figure)
    return text if text.startswith(("-", "0")) and not text.startswith("0.") else f"+{text}"


_SUMS: Final = ("counts#", "short#", "over#", "shrinkage#", "surplus#", "variance+", "unit", "flags~")
_LAYOUTS: Final = {
    VarianceBy.COUNT: TableLayout(
        "Counts, times in UTC",
        (
            *("occurred@", "location", "item", "recorded as"),
            *("counted#", "expected#", "variance+", "unit", "flags~"),
        ),
        _count_cells,
    ),
    VarianceBy.ITEM: TableLayout("Variance by item", ("item", "locations#", *_SUMS), _sum_cells),
    VarianceBy.LOCATION: TableLayout("Variance by location", ("location", "items#", *_SUMS), _sum_cells),
}
