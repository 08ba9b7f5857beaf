"""`larder head-office report usage`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal
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
from head_office.reports.known_at import take_cut
from head_office.reports.tables.table_report import TableScope
from head_office.reports.usage.caused_usage import MOST_DAYS, UsageBy, check_readable, usage_events
from head_office.reports.usage.usage_table import ItemUsageRecord, OrderUsageRecord, ProductUsageRecord, usage_table
from shared.runtime.cli.output import UTC, AsJson, short_time
from shared.runtime.cli.progress import progress_bar


def usage_report(
    *,
    location: OfLocation = None,
    item: OfItem = None,
    begin: OccurredFrom = None,
    end: OccurredTo = None,
    by: Annotated[
        UsageBy,
        typer.Option(
            "--by",
            case_sensitive=False,
            help=f"By item alone; or by the dish or order that caused it, over at most {MOST_DAYS} days.",
        ),
    ] = UsageBy.ITEM,
    known_at: AsKnownAt = None,
    after: AfterRow = None,
    limit: RowLimit = 1_000,
    csv: CsvFile = None,
    folder: Directory = None,
    database_url: DatabaseUrl = None,
    as_json: AsJson = False,
) -> None:
    """What was used: sold, used internally, produced with, wasted, sent away; less what customers returned."""
    question = ListingQuestion("usage", {"--by": by.value}, location, item, begin, end, known_at, after, limit, csv)
    with asked_scope(question, folder, database_url) as scope, _progress(scope, by) as advance:
        show_table(
            scope,
            usage_table(by, advance),
            question,
            _LAYOUTS[by],
            as_json=as_json,
            shows_progress=by is not UsageBy.ITEM,
        )


@contextmanager
def _progress(scope: TableScope, by: UsageBy) -> Iterator[Callable[[int], object]]:
    """A bar of the events that are read from the log, where any are."""
    if by is UsageBy.ITEM:
        yield lambda _: None
        return
    check_readable(scope.begin, scope.end)
    total = usage_events(scope, take_cut(scope.connection, scope.known_at, scope.location_ids))
    with progress_bar("Reading the log", total) as advance:
        yield advance


def _figures(row: Any) -> Sequence[object]:
    figures = (row.sold, row.internal_use, row.production, row.waste, row.transferred_out, row.returned)
    return (*(figure_cell(each) for each in figures), figure_text(row.total), row.unit)


def _item_cells(row: ItemUsageRecord) -> Sequence[object]:
    return (row.location_id, row.item_id, *_figures(row))


def _product_cells(row: ProductUsageRecord) -> Sequence[object]:
    return (row.location_id, row.product, row.item_id, *_figures(row))


def _order_cells(row: OrderUsageRecord) -> Sequence[object]:
    # Orders are sold and returned; what is of none stands in one column, so that a row fits a terminal.
    sold, returned, total = (Decimal(figure_text(each)) for each in (row.sold, row.returned, row.total))
    return (
        *(row.location_id, row.order_id, row.source, short_time(row.first_at, UTC), row.item_id),
        *(figure_cell(row.sold), f"{other:f}" if (other := total - sold + returned) else None),
        *(figure_cell(row.returned), figure_text(row.total), row.unit),
    )


_FIGURES: Final = ("sold#", "internal#", "production#", "waste#", "sent#", "returned#", "total#", "unit")
_LAYOUTS: Final = {
    UsageBy.ITEM: TableLayout("Usage by item", ("location", "item", *_FIGURES), _item_cells),
    UsageBy.PRODUCT: TableLayout("Usage by dish", ("location", "dish~", "item", *_FIGURES), _product_cells),
    UsageBy.ORDER: TableLayout(
        "Usage by order, times in UTC",
        (*("location", "order", "source", "first@", "item"), *("sold#", "other#", "returned#", "total#", "unit")),
        _order_cells,
    ),
}
