"""`larder head-office report unmet-demand`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Final

import typer

from head_office.cli.office_completion import complete_source
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
    figure_text,
    show_table,
)
from head_office.reports.unmet.unmet_demand_sums import UnmetDemandBy
from head_office.reports.unmet.unmet_demand_table import ItemUnmetDemandRecord, UnmetDemandRecord, unmet_demand_table
from shared.runtime.cli.output import UTC, AsJson, short_time


def unmet_demand_report(
    *,
    location: OfLocation = None,
    item: OfItem = None,
    source: Annotated[
        str | None, typer.Option("--source", help="Of orders of this system only.", autocompletion=complete_source)
    ] = None,
    begin: OccurredFrom = None,
    end: OccurredTo = None,
    by: Annotated[
        UnmetDemandBy,
        typer.Option("--by", case_sensitive=False, help="A row for each refused line, or the sums of each item."),
    ] = UnmetDemandBy.EVENT,
    known_at: AsKnownAt = None,
    after: AfterRow = None,
    limit: RowLimit = 1_000,
    csv: CsvFile = None,
    folder: Directory = None,
    database_url: DatabaseUrl = None,
    as_json: AsJson = False,
) -> None:
    """What orders asked for and was not there, with what was available at that moment.

    An order that asked again counts each time.
    """
    words = {"--by": by.value, "--source": source}
    question = ListingQuestion("unmet-demand", words, location, item, begin, end, known_at, after, limit, csv)
    with asked_scope(question, folder, database_url) as scope:
        show_table(scope, unmet_demand_table(by, source), question, _LAYOUTS[by], as_json=as_json)


def _line_cells(row: UnmetDemandRecord) -> Sequence[object]:
    return (
        *(short_time(row.occurred_at, UTC), row.location_id, row.order_id, row.source, row.item_id),
        *(figure_text(row.asked), figure_text(row.available), figure_text(row.short), row.unit),
    )


def _sum_cells(row: ItemUnmetDemandRecord) -> Sequence[object]:
    return (
        *(
            row.location_id,
            row.item_id,
            row.refusals,
            row.orders,
            figure_text(row.asked),
            figure_text(row.short),
            row.unit,
        ),
        short_time(row.last_at, UTC),
    )


_LAYOUTS: Final = {
    UnmetDemandBy.EVENT: TableLayout(
        "Unmet demand, times in UTC",
        ("occurred@", "location", "order", "source", "item", "asked#", "available#", "short#", "unit"),
        _line_cells,
    ),
    UnmetDemandBy.ITEM: TableLayout(
        "Unmet demand by item, times in UTC",
        ("location", "item", "refusals#", "orders#", "asked#", "short#", "unit", "last@"),
        _sum_cells,
    ),
}
