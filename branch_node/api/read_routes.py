"""The read-only routes: plain functions, each on a read-only connection of its own."""

from __future__ import annotations

from typing import Annotated, Any, Final, NamedTuple
from zoneinfo import ZoneInfo

import msgspec
from fastapi import APIRouter, Query
from starlette.responses import Response

from branch_node.api.dependencies import ApiNode, RequestContext, problems
from branch_node.api.tagged_stock import tagged_stock
from branch_node.commands.count_areas import MOST_COUNTS, OpenCountRecord, open_count_record, open_counts
from branch_node.commands.input_fields import asked
from branch_node.database import queries
from branch_node.database.queries import SiteTransfer
from branch_node.database.schema import LOG
from branch_node.database.stock import stock_figures
from branch_node.database.stock.explanations import ExplanationRecord, explanation
from branch_node.database.store import load_location
from branch_node.model import nearest_item_codes
from branch_node.problems import BAD_CURSOR, INVALID_TIME, ITEM_NOT_FOUND
from branch_node.records import BranchEventRecord, ItemRecord, Page, StockRecord
from shared.chain import EMPTY, Head
from shared.event_log import read_head
from shared.event_record import moment_text
from shared.events import EventType
from shared.messages import HeadMessage, QuarantineMessage
from shared.runtime.business_days import as_of_moment, boundary
from shared.runtime.http.application import documented_answer, json_response
from shared.runtime.http.cursor import MAX_CURSOR
from shared.runtime.http.entity_tags import quoted
from shared.runtime.http.scopes import Scope
from shared.runtime.problems import (
    DATABASE_BUSY,
    DATABASE_UNAVAILABLE,
    INVALID_REQUEST,
    OVERLOADED,
    Problem,
    invalid_request,
)

Limit = Annotated[int, Query(ge=1, le=queries.MAX_PAGE, description="How many at most")]
After = Annotated[str | None, Query(max_length=MAX_CURSOR, description="The `next` of the page before")]
AsOf = Annotated[
    str | None, Query(max_length=40, description="RFC 3339 with offset, or a date for its end here; now if left out")
]
From = Annotated[
    str | None,
    Query(alias="from", max_length=40, description="A period's begin: RFC 3339, or a date for its start here"),
]
To = Annotated[str | None, Query(alias="to", max_length=40, description="The period ends before this moment or date")]

_READ = (INVALID_REQUEST, DATABASE_BUSY, DATABASE_UNAVAILABLE, OVERLOADED)


class ShippingRecord(msgspec.Struct, kw_only=True, omit_defaults=True):
    """The state of shipping. `state` is OK while it works; `hint` says what a person should do."""

    state: str
    head_office: str | None = None
    detail: str | None = None
    hint: str | None = None
    next_try_at: str | None = None


class StatusRecord(msgspec.Struct, kw_only=True):
    """The node at a glance.

    `quarantined`: the events of this log that head office cannot fold, by its last answer; null before the first one.
    """

    location_id: str
    name: str
    timezone: str
    now: str
    clock_confirmed: bool
    recording: bool
    head: HeadMessage
    acknowledged: HeadMessage | None
    unshipped: int
    last_contact_at: str | None
    waiting: int
    open_counts: Annotated[
        list[OpenCountRecord],
        msgspec.Meta(description=f"The oldest counts that wait for more areas, at most {MOST_COUNTS}"),
    ]
    shipping: ShippingRecord
    quarantined: QuarantineMessage | None


def reading_routes(node: ApiNode) -> APIRouter:
    """The GET routes of a node."""
    context = RequestContext(node)
    router = APIRouter(prefix="/v1", dependencies=[context.caller(Scope.READ)])
    _lists(router, node)
    _stock(router, node)
    _status(router, node)
    return router


def _documented(kind: Any, description: str, *own: Any) -> dict[int | str, dict[str, Any]]:
    return problems(*_READ, *own, body=False) | {200: documented_answer(kind, description)}


def _listed(kind: Any, description: str) -> dict[int | str, dict[str, Any]]:
    return _documented(kind, description, BAD_CURSOR)


def _lists(router: APIRouter, node: ApiNode) -> None:
    @router.get(
        "/items", tags=["reading"], summary="The catalogue", responses=_listed(Page[ItemRecord], "Items by code")
    )
    def items(after: After = None, limit: Limit = 100) -> Response:
        place = queries.BY_ITEM.read(after)
        with node.store.reading() as connection:
            return json_response(queries.items(connection, after=place, limit=limit))

    @router.get(
        "/events",
        tags=["reading"],
        summary="The log, in the order it was recorded; of an item under all its codes, each event with its own",
        responses=_listed(Page[BranchEventRecord], "Events by sequence"),
    )
    def events(
        *,
        item_id: Annotated[str | None, Query(max_length=64)] = None,
        kind: Annotated[EventType | None, Query(alias="type")] = None,
        newest: Annotated[
            bool, Query(description="From the end of the log backwards; `next` leads to older ones")
        ] = False,
        begin: From = None,
        end: To = None,
        after: After = None,
        limit: Limit = 100,
    ) -> Response:
        start = queries.BY_SEQUENCE.read(after)
        over = _period(node, begin, end)
        with node.store.reading() as connection:
            codes = None if item_id is None else stock_figures.codes_of(connection, item_id)[1]
            wanted = queries.EventsWanted(codes, kind, *over)
            if newest:
                found = queries.newest_events(connection, wanted, before=start, limit=limit)
            else:
                found = queries.events(connection, wanted, after=start or 0, limit=limit)
        return json_response(found)

    @router.get(
        "/transfers",
        tags=["reading"],
        summary="The transfers that this site's log knows",
        responses=_listed(Page[SiteTransfer], "Transfers, in the order of their first event here"),
    )
    def transfers(after: After = None, limit: Limit = 100) -> Response:
        start = queries.BY_SEQUENCE.read(after) or 0
        with node.store.reading() as connection:
            return json_response(queries.transfers(connection, after=start, limit=limit))


def _stock(router: APIRouter, node: ApiNode) -> None:
    @router.get(
        "/stock",
        tags=["reading"],
        summary="The stock of every item",
        responses=_listed(Page[StockRecord], "Stock by item code"),
    )
    def stock(after: After = None, limit: Limit = 100) -> Response:
        place = queries.BY_ITEM.read(after)
        with node.store.reading() as connection:
            return json_response(stock_figures.stock(connection, now=node.clock.now(), after=place, limit=limit))

    @router.get(
        "/stock/low",
        tags=["reading"],
        summary="What is at or below its reorder level",
        responses=_listed(Page[StockRecord], "Stock by item code"),
    )
    def low(after: After = None, limit: Limit = 100) -> Response:
        place = queries.BY_ITEM.read(after)
        with node.store.reading() as connection:
            return json_response(stock_figures.low_stock(connection, now=node.clock.now(), after=place, limit=limit))

    @router.get(
        "/stock/{item_id:code}",
        tags=["reading"],
        summary="The stock of one item, now or as of a moment",
        description="Now it comes with an ETag, which is another one whenever on hand, reserved or available may have "
        "changed: for If-Match of POST /v1/events and POST /api/inventory/adjust.",
        responses=_documented(StockRecord, "Its stock", ITEM_NOT_FOUND, INVALID_TIME),
    )
    def stock_of(item_id: str, as_of: AsOf = None, begin: From = None, end: To = None) -> Response:
        at, over = _as_of(node, as_of), _period(node, begin, end, as_of=as_of)
        try:
            if at is None and over == NO_PERIOD:
                now_there, tag = tagged_stock(node, item_id)
                return json_response(now_there, headers={"ETag": quoted(tag)})
            with node.store.reading() as connection:
                now = node.clock.now()
                if over == NO_PERIOD:
                    return json_response(stock_figures.stock_of(connection, item_id, now=now, as_of=at))
                record = stock_figures.stock_over(connection, item_id, now=now, begin=over.begin, end=over.end)
                return json_response(record)
        except Problem as problem:
            raise _with_nearest_codes(node, problem) from None

    @router.get(
        "/stock/{item_id:code}/explain",
        tags=["reading"],
        summary="Why the figure is what it is",
        responses=_documented(ExplanationRecord, "The explanation of the figure", ITEM_NOT_FOUND, INVALID_TIME),
    )
    def explain(item_id: str, as_of: AsOf = None, begin: From = None, end: To = None) -> Response:
        at, over = _as_of(node, as_of), _period(node, begin, end, as_of=as_of)
        try:
            with node.store.reading() as connection:
                result = explanation(
                    connection,
                    node.location_id,
                    item_id,
                    now=node.clock.now(),
                    as_of=at,
                    begin=over.begin,
                    end=over.end,
                )
                return json_response(result)
        except Problem as problem:
            raise _with_nearest_codes(node, problem) from None


class PeriodBounds(NamedTuple):
    """The moments (microseconds UTC) at which a period begins and ends, None where it is open."""

    begin: int | None
    end: int | None


NO_PERIOD: Final = PeriodBounds(None, None)


def _as_of(node: ApiNode, text: str | None) -> int | None:
    wanted, here = asked(text, "as_of"), node.writer.location
    return None if wanted is None else as_of_moment(wanted, ZoneInfo(here.timezone), here.day_start)


def _period(node: ApiNode, begin: str | None, end: str | None, *, as_of: str | None = None) -> PeriodBounds:
    here = node.writer.location
    first, last = (
        None if wanted is None else boundary(wanted, ZoneInfo(here.timezone), here.day_start)
        for wanted in (asked(begin, "from"), asked(end, "to"))
    )
    if as_of is not None and (first is not None or last is not None):
        invalid_request("as_of", "a figure is as of a moment or of a period")
    if first is not None and last is not None and last < first:
        invalid_request("to", "the period ends before it begins")
    return PeriodBounds(first, last)


def _with_nearest_codes(node: ApiNode, problem: Problem) -> Problem:
    if problem.code == ITEM_NOT_FOUND.code:
        problem.extras["nearest"] = nearest_item_codes(problem.extras["item_id"], node.writer.items.values())
    return problem


def _status(router: APIRouter, node: ApiNode) -> None:
    @router.get(
        "/status",
        tags=["reading"],
        summary="Where the log ends, what waits to be shipped, how shipping stands",
        responses=_documented(StatusRecord, "The node at a glance"),
    )
    def status() -> Response:
        shipping = node.board.read()
        with node.store.reading() as connection:
            location = load_location(connection)
            head = read_head(connection, LOG, node.location_id) or EMPTY
            counts = [open_count_record(each) for each in open_counts(connection)]
        acknowledged = shipping.acknowledged
        return json_response(
            StatusRecord(
                location_id=location.location_id,
                name=location.name,
                timezone=location.timezone,
                now=_time(node.clock.now()) or "",
                clock_confirmed=node.clock.confirmed,
                recording=shipping.recording and node.writer.problem() is None and node.writer.failing() is None,
                head=_head(head),
                acknowledged=None if acknowledged is None else _head(acknowledged),
                unshipped=max(head.sequence - (acknowledged.sequence if acknowledged else 0), 0),
                last_contact_at=_time(shipping.last_contact_at),
                waiting=node.writer.waiting(),
                open_counts=counts,
                shipping=ShippingRecord(
                    state=shipping.state.value,
                    head_office=shipping.head_office,
                    detail=shipping.detail,
                    hint=shipping.hint,
                    next_try_at=_time(shipping.next_try_at),
                ),
                quarantined=shipping.quarantined,
            )
        )


def _head(head: Head) -> HeadMessage:
    return HeadMessage(head.epoch, head.sequence, head.hash.hex())


def _time(micros: int | None) -> str | None:
    return None if micros is None else moment_text(micros)
