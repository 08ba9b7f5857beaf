"""Stock of the group, why it is what it is, and the events behind it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final

from fastapi import FastAPI, Query
from sqlalchemy import Connection
from starlette.responses import Response

from head_office.api.dependencies import (
    AsOfQuery,
    From,
    ItemFilter,
    ItemPath,
    ItemQuery,
    LocationQuery,
    Office,
    To,
    moment,
    out_of_range,
    scoped,
)
from head_office.catalogue.item_codes import items_meant
from head_office.catalogue.items import nothing_known
from head_office.catalogue.locations import check_locations
from head_office.database.receipts import ReceiptPlace, receipts
from head_office.database.schema import now
from head_office.problems import BAD_CURSOR, NOTHING_KNOWN, PROBLEMS, UNKNOWN_LOCATION
from head_office.reports.event_list import EventFilter, events
from head_office.reports.explanation_records import EXPLANATION_SCHEMA, explanation_out
from head_office.reports.explanations import explain
from head_office.reports.freshness import freshness
from head_office.reports.group_stock import FigureKey, StockKey, StockReport, totals
from head_office.reports.known_at import AsOf, Cut
from head_office.reports.report_moments import (
    NO_PERIOD,
    AskedPeriod,
    StockQuestion,
    as_of_at,
    asked,
    asked_text,
    at_location,
    ends_at,
    period,
)
from head_office.reports.report_records import (
    RECEIVED_EVENT_SCHEMA,
    ItemStockReport,
    StockOut,
    StockPage,
    answer_schema,
    figures_out,
    listed_schema,
    received_event_record,
    total_out,
)
from shared.event_record import moment_text
from shared.events import EventType
from shared.runtime.business_days import Asked
from shared.runtime.http.application import MAX_LIMIT, After, Limit, documented_answer, json_response
from shared.runtime.http.auth import Principal
from shared.runtime.http.cursor import Cursor
from shared.runtime.http.scopes import Scope
from shared.runtime.problems import INVALID_REQUEST, WRONG_LOCATION

KnownAt = Annotated[str | None, Query(max_length=64, description="As head office knew it at this moment")]

STOCK_CURSOR: Final[Cursor[StockKey]] = Cursor(StockKey)
EVENT_CURSOR: Final[Cursor[ReceiptPlace]] = Cursor(ReceiptPlace)
"""The cursors of lists of stock, and of events in the order of receipt."""

_COMMON: Final = (UNKNOWN_LOCATION, WRONG_LOCATION, INVALID_REQUEST)


def locations_of(connection: Connection, principal: Principal, location_id: str | None) -> list[str] | None:
    """The locations to report on, None for all. Raises Problem 403 `wrong-location`, 422 `unknown-location`."""
    wanted = scoped(principal, location_id)
    if wanted is None:
        return None
    check_locations(connection, [wanted])
    return [wanted]


def add_stock_routes(app: FastAPI, office: Office) -> None:
    """Add the routes of stock and events."""
    reader = office.caller(Scope.READ)

    @app.get(
        "/v1/stock",
        tags=["stock"],
        summary="Stock of the group, each figure with its freshness",
        description="Flags: `negative` the book is below zero; `short` more is promised than is there; `recount` goods "
        "came before the last count and were recorded after it; `incomplete` an event in quarantine may touch the "
        "figure; `unit_conflict` the item is kept in different units.",
        responses={200: documented_answer(StockPage, "A page of stock"), **PROBLEMS.responses(BAD_CURSOR, *_COMMON)},
    )
    def read_stock(
        *,
        location_id: LocationQuery = None,
        item_id: ItemFilter = None,
        as_of: AsOfQuery = None,
        begin: From = None,
        end: To = None,
        known_at: KnownAt = None,
        after: After = None,
        limit: Limit = MAX_LIMIT,
        principal: Principal = reader,
    ) -> Response:
        place = STOCK_CURSOR.read(after)
        wanted = StockQuestion(asked("as_of", as_of), period(begin, end, as_of=as_of))
        with office.reporting(moment("known_at", known_at)) as (connection, settled):
            places = locations_of(connection, principal, location_id)
            report, opened = wanted.answer(
                connection,
                location_ids=places,
                item_ids=None if item_id is None else items_meant(connection, item_id, places, settled),
                known_at=settled,
                after=place,
                limit=limit,
            )
            items = _with_freshness(connection, report, opened)
        following = None if report.next is None else STOCK_CURSOR.write(report.next)
        return json_response(StockPage(items=items, next=following, **report_header(report.cut, *wanted)))

    @app.get(
        "/v1/stock/{item_id:code}",
        tags=["stock"],
        summary="Stock of one item: the totals of the group, and each location",
        responses={
            200: documented_answer(ItemStockReport, "Totals, only equal units added, and the locations"),
            **PROBLEMS.responses(NOTHING_KNOWN, *_COMMON),
        },
    )
    def read_item_stock(
        item_id: ItemPath,
        *,
        as_of: AsOfQuery = None,
        begin: From = None,
        end: To = None,
        known_at: KnownAt = None,
        principal: Principal = reader,
    ) -> Response:
        wanted = StockQuestion(asked("as_of", as_of), period(begin, end, as_of=as_of))
        with office.reporting(moment("known_at", known_at)) as (connection, settled):
            places = locations_of(connection, principal, None)
            report, opened = wanted.answer(
                connection,
                location_ids=places,
                item_ids=items_meant(connection, item_id, places, settled),
                known_at=settled,
            )
            if not report.rows:
                raise nothing_known(connection, item_id)
            items = _with_freshness(connection, report, opened)
        # Asked for by another code, the answer names the item; a code may be an item here and stand for one there.
        named = {row.item_id for row in report.rows}
        item_id = item_id if len(named) > 1 else named.pop()
        sums = [total_out(each) for each in totals(report.rows)]
        return json_response(
            ItemStockReport(item_id=item_id, totals=sums, items=items, **report_header(report.cut, *wanted))
        )

    @app.get(
        "/v1/stock/{item_id:code}/explain",
        tags=["stock"],
        summary="Why a figure is what it is: its last count, each event after it, and what does not count",
        responses={
            200: answer_schema("The explanation of the figure", EXPLANATION_SCHEMA),
            **PROBLEMS.responses(NOTHING_KNOWN, *_COMMON),
        },
    )
    def explain_stock(
        item_id: ItemPath,
        *,
        location_id: LocationQuery = None,
        recorded_as: ItemQuery = None,
        as_of: AsOfQuery = None,
        begin: From = None,
        end: To = None,
        known_at: KnownAt = None,
        limit: Limit = MAX_LIMIT,
        principal: Principal = reader,
    ) -> Response:
        at, over = asked("as_of", as_of), period(begin, end, as_of=as_of)
        wanted = scoped(principal, location_id)
        if wanted is None:
            raise out_of_range("location_id", "a figure is explained for one location: name it")
        with office.reporting(moment("known_at", known_at)) as (connection, settled):
            check_locations(connection, [wanted])
            first, last = ends_at(connection, over, [wanted], settled)
            found = explain(
                connection,
                wanted,
                item_id,
                recorded_as=recorded_as,
                as_of=at_location(as_of_at(connection, at, [wanted], settled), wanted),
                begin=at_location(first, wanted),
                end=at_location(last, wanted),
                known_at=settled,
                limit=limit,
            )
            if found is None:
                raise nothing_known(connection, item_id, wanted)
        return json_response(explanation_out(found))

    _add_event_route(app, office)


def _add_event_route(app: FastAPI, office: Office) -> None:
    @app.get(
        "/v1/events",
        tags=["stock"],
        summary="Events of the group, whole, in the order of receipt",
        description="With `item_id`, any code of an item: the events of all its codes, each with its code as recorded. "
        "`next` is always given: a page shorter than `limit` is the last for now, and new events come after its "
        "`next`. Who follows it gets every event once. Only the end of a list with `newest_first` has none.",
        responses={
            200: listed_schema("A page of events", RECEIVED_EVENT_SCHEMA),
            **PROBLEMS.responses(BAD_CURSOR, *_COMMON),
        },
    )
    def read_events(
        *,
        location_id: LocationQuery = None,
        item_id: ItemFilter = None,
        kind: Annotated[list[EventType] | None, Query(alias="type", max_length=24)] = None,
        transfer_id: ItemQuery = None,
        begin: From = None,
        end: To = None,
        newest_first: bool = False,
        after: After = None,
        limit: Limit = 100,
        principal: Principal = office.caller(Scope.READ),  # noqa: B008 - evaluated once, on purpose
    ) -> Response:
        place, over = EVENT_CURSOR.read(after), period(begin, end)
        # In a transaction of its own: what is listed must be read from a later snapshot.
        with office.reading() as connection:
            received = receipts(connection)
        with office.reading() as connection:
            places = locations_of(connection, principal, location_id)
            first, last = ends_at(connection, over, places)
            wanted = EventFilter(
                location_ids=places,
                item_id=item_id,
                types=None if kind is None else [each.value for each in kind],
                transfer_id=transfer_id,
                begin=first,
                end=last,
            )
            page = events(connection, received, wanted, after=place, newest_first=newest_first, limit=limit)
        items = [received_event_record(each) for each in page.events]
        following = None if page.next is None else EVENT_CURSOR.write(page.next)
        return json_response({"items": items, "next": following})


def report_header(cut: Cut, as_of: Asked | None, over: AskedPeriod = NO_PERIOD) -> dict[str, Any]:
    """The members of a report of figures: what it was asked for, and its cut."""
    return {
        "as_of": asked_text(as_of),
        "period_from": asked_text(over.begin),
        "period_to": asked_text(over.end),
        **cut_header(cut),
    }


def cut_header(cut: Cut) -> dict[str, Any]:
    """The members that every report answers: the moment at which it was known, and its cut."""
    return {
        "known_at": None if cut.known_at is None else moment_text(cut.known_at),
        "known_at_holds_since": {name: moment_text(at) for name, at in cut.holds_since.items()},
        "cut": cut.sequences,
    }


def _with_freshness(
    connection: Connection, report: StockReport, opened: Mapping[FigureKey, int] | None
) -> list[StockOut]:
    fresh = freshness(connection, {row.location_id for row in report.rows}, report.cut)
    at: AsOf = report.cut.known_at or now(connection) if report.as_of is None else report.as_of
    return figures_out(report.rows, at, fresh, opened)
