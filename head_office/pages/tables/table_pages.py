"""The pages of variance, usage and unmet demand: a period, a location, an item, what a row is; and each as a file."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from typing import Final, NamedTuple

from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response

from head_office.api.dependencies import Office
from head_office.api.reports.table_answers import AskedTable, TableFormat, answer_table
from head_office.api.stock_routes import locations_of
from head_office.catalogue.item_codes import items_known
from head_office.database.schema import now
from head_office.pages.page_query import visible_locations
from head_office.pages.page_views import common_zone
from head_office.pages.tables.table_views import codes_of, column_views, row_view
from head_office.reports.mornings.morning_list import checked_date
from head_office.reports.report_moments import period
from head_office.reports.tables.table_report import TableReport, table_scope
from head_office.reports.unmet.unmet_demand_sums import UnmetDemandBy
from head_office.reports.unmet.unmet_demand_table import unmet_demand_table
from head_office.reports.usage.caused_usage import UsageBy
from head_office.reports.usage.usage_table import usage_table
from head_office.reports.variance.variance_sums import VarianceBy
from head_office.reports.variance.variance_table import variance_table
from shared.catalogue_messages import CatalogueLocation
from shared.runtime.clock import business_date
from shared.runtime.http.scopes import Scope
from shared.runtime.pages.forms import Form
from shared.runtime.pages.site import Site
from shared.runtime.problems import Problem, invalid_request
from shared.runtime.text.csv_writer import CsvCell
from shared.runtime.text.text_faults import code_fault

ROWS_OF_A_PAGE: Final = 200
DAYS_AT_FIRST: Final = 28
"""How many business dates a page shows where no period is asked for, today's the last."""
_MOST_CODE: Final = 64
_FIELDS: Final = frozenset({"from", "to", "item_id"})
"""The fields beside which a fault is shown."""


class ReportTable(NamedTuple):
    """One of the reports: its address and name, how its rows can be told apart (value, words), and how it is read."""

    address: str
    name: str
    file_name: str
    about: str
    ways: tuple[tuple[str, str], ...]
    table: Callable[[str], TableReport]
    empty: str


TABLES: Final = (
    ReportTable(
        "/reports/variance",
        "Variance",
        "variance",
        "What counts found, against what the book says by now that was there.",
        (
            (VarianceBy.COUNT, "Each count"),
            (VarianceBy.ITEM, "Sums by item"),
            (VarianceBy.LOCATION, "Sums by location"),
        ),
        lambda by: variance_table(VarianceBy(by)),
        "Nothing was counted.",
    ),
    ReportTable(
        "/reports/usage",
        "Usage",
        "usage",
        "What was used, by the events that stand. Total is all of it, less what customers returned.",
        ((UsageBy.ITEM, "Item"), (UsageBy.PRODUCT, "Dish or product"), (UsageBy.ORDER, "Order")),
        lambda by: usage_table(UsageBy(by)),
        "Nothing was used.",
    ),
    ReportTable(
        "/reports/unmet-demand",
        "Unmet demand",
        "unmet-demand",
        "What orders asked for and was not there, with what was available at that moment.",
        ((UnmetDemandBy.EVENT, "Each refused line"), (UnmetDemandBy.ITEM, "Sum by item")),
        lambda by: unmet_demand_table(UnmetDemandBy(by), None),
        "Nothing that was asked for was missing.",
    ),
)


class _Asked(NamedTuple):
    """The form above a table, as it was typed."""

    by: str
    location_id: str
    item_id: str
    begin: str
    end: str

    def fields(self) -> dict[str, str]:
        named = {"by": self.by, "location_id": self.location_id, "item_id": self.item_id}
        return {name: text for name, text in named.items() if text} | {"from": self.begin, "to": self.end}


class TablePages:
    """The routes of the reports that are tables, and of their files."""

    def __init__(self, site: Site, office: Office) -> None:
        self._site = site
        self._office = office
        for report in TABLES:
            self._add(report)

    def _add(self, report: ReportTable) -> None:
        def page(request: Request) -> Response:
            return self._page(request, report)

        def file(request: Request) -> Response:
            return self._file(request, report)

        self._site.get(report.address, page, Scope.REPORTS)
        self._site.get(f"{report.address}/file", file, Scope.REPORTS)

    def _page(self, request: Request, report: ReportTable) -> Response:
        principal = self._site.session(request).principal
        query = Form(dict(request.query_params))
        after = query["after"] or None
        problem: Problem | None = None
        with self._office.reporting(None) as (connection, settled):
            visible = visible_locations(connection, principal)
            moment = now(connection)
            zone = common_zone(visible)
            asked = _asked(request, query, report, _today(visible, moment))
            table = report.table(asked.by)
            rows: list[list[CsvCell]] = []
            following = None
            try:
                _check(asked)
                scope = table_scope(
                    connection,
                    settled,
                    location_ids=locations_of(connection, principal, asked.location_id or None),
                    item_id=asked.item_id or None,
                    over=period(asked.begin or None, asked.end or None),
                )
                found = table.page(scope, after, ROWS_OF_A_PAGE)
                rows, following = [table.cells_of(row) for row in found.items], found.next
            except Problem as refused:
                if refused.status != 422:
                    raise
                problem = refused
            known = {
                "location_id": {each.location_id: each.name for each in visible},
                "item_id": _item_names(connection, codes_of("item_id", table.columns, rows)),
            }
        return self._site.page(
            request,
            "report_table.html",
            status=200 if problem is None else problem.status,
            now=moment,
            here=TABLES[0].address,
            report=report,
            reports=TABLES,
            asked=asked,
            fields=asked.fields(),
            faults=_faults(problem),
            problem=problem,
            beside=bool(_faults(problem).keys() & _FIELDS),
            columns=column_views(table.columns),
            rows=[row_view(table.columns, row, known, zone) for row in rows],
            following=following,
            first=after is None,
            visible=visible,
            zone=zone,
        )

    def _file(self, request: Request, report: ReportTable) -> Response:
        principal = self._site.session(request).principal
        query = Form(dict(request.query_params))
        with self._office.reading() as connection:
            today = _today(visible_locations(connection, principal), now(connection))
        asked = _asked(request, query, report, today)
        _check(asked)
        wanted = AskedTable(
            location_id=asked.location_id or None,
            item_id=asked.item_id or None,
            begin=asked.begin or None,
            end=asked.end or None,
            known_at=None,
            after=None,
            limit=ROWS_OF_A_PAGE,
            form=TableFormat.CSV,
        )
        return answer_table(self._office, principal, report.file_name, report.table(asked.by), wanted)


class _Days(NamedTuple):
    begin: str
    end: str


def _today(visible: Iterable[CatalogueLocation], moment: int) -> _Days:
    """The period of a page for which none is asked: so many dates up to today's, on the calendar of most locations."""
    today = business_date(moment, common_zone(visible), 0)
    return _Days(str(today - timedelta(days=DAYS_AT_FIRST - 1)), str(today + timedelta(days=1)))


def _asked(request: Request, query: Form, report: ReportTable, usual: _Days) -> _Asked:
    """Read the form. Raises Problem 422 `invalid-request` for a row that the report does not have."""
    by = query["by"] or report.ways[0][0]
    if by not in [value for value, _ in report.ways]:
        invalid_request("by", f"it is one of {', '.join(value for value, _ in report.ways)}")
    given = "from" in request.query_params or "to" in request.query_params
    begin, end = (query["from"][:_MOST_CODE], query["to"][:_MOST_CODE]) if given else usual
    return _Asked(by, query["location_id"], query["item_id"], begin, end)


def _check(asked: _Asked) -> None:
    """Raise Problem 422 `invalid-request` for what is no date or code; moments are for the API alone."""
    checked_date("from", asked.begin or None)
    checked_date("to", asked.end or None)
    if len(asked.item_id) > _MOST_CODE:
        invalid_request("item_id", f"it has at most {_MOST_CODE} characters")
    if fault := code_fault(asked.item_id) if asked.item_id else None:
        invalid_request("item_id", fault)


def _faults(problem: Problem | None) -> dict[str, str]:
    """What is wrong, by the field that it is about."""
    errors: Iterable[Mapping[str, str]] = () if problem is None else problem.extras.get("errors", ())
    return {error["field"]: error["message"] for error in errors}


def _item_names(connection: Connection, item_ids: Iterable[str]) -> dict[str, str]:
    return {item_id: item.name for item_id, item in items_known(connection, item_ids, None).items()}
