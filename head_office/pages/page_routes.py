"""Head office's pages, from the same functions as the API: here stock of the group, explanations, transfers."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Any, Final
from urllib.parse import quote

from fastapi import FastAPI
from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response

from head_office.api.dependencies import Office
from head_office.api.stock_routes import STOCK_CURSOR
from head_office.catalogue import items
from head_office.catalogue.item_codes import items_known, items_meant
from head_office.database.schema import now
from head_office.pages.page_query import PageQuery, read_query, visible_locations
from head_office.pages.page_views import (
    columns,
    explanation_view,
    in_transit_rows,
    matrix,
    open_instructions,
)
from head_office.pages.purchasing.office_forms import sentence
from head_office.pages.purchasing.purchase_order_pages import ORDERS, PurchaseOrderPages
from head_office.pages.purchasing.purchasing_pages import PURCHASING, PurchasingPages
from head_office.pages.tables.table_pages import TABLES, TablePages
from head_office.problems import UNKNOWN_LOCATION
from head_office.reports import group_stock
from head_office.reports.explanations import explain
from head_office.reports.freshness import freshness
from head_office.reports.in_transit import in_transit
from head_office.reports.report_moments import at_location, ends_at
from head_office.transfers import instructions
from shared.catalogue_messages import CatalogueLocation
from shared.events import quantity_text
from shared.runtime.clock import Clock
from shared.runtime.http.scopes import Scope
from shared.runtime.pages.forms import Form
from shared.runtime.pages.sessions import Sessions
from shared.runtime.pages.site import Site, redirect
from shared.runtime.pages.words import figure, figure_filters, holds_words, offset_text
from shared.runtime.problems import invalid_request

SECTIONS: Final = (
    ("/stock", "Stock"),
    ("/transfers", "Transfers"),
    (PURCHASING, "Purchasing"),
    (ORDERS, "Orders"),
    (TABLES[0].address, "Reports"),
)
ROWS: Final = 2_000
MOST_FOUND: Final = 200
TRANSFERS_SHOWN: Final = 500
ASKED_SHOWN: Final = 100
"""Open instructions shown of each location."""


def add_pages(app: FastAPI, office: Office, clock: Clock) -> None:
    """Mount head office's pages on its application."""
    _OfficePages(office, clock).site.add_to(app)


class _OfficePages:
    def __init__(self, office: Office, clock: Clock) -> None:
        self._office = office
        self.site = Site(
            package="head_office.pages",
            name=lambda: "Head office",
            sections=SECTIONS,
            sessions=Sessions(office.authenticator, clock, cookie="larder-head-office"),
            clock=clock,
        )
        self.site.templates.filters |= {
            **figure_filters(quantity_text),
            "offset": offset_text,
            "figure": figure,
            "sentence": sentence,
            "segment": partial(quote, safe=""),
        }
        self.site.get("/", self.first)
        self.site.get("/stock", self.stock)
        self.site.get("/explain", self.explain)
        self.site.get("/transfers", self.transfers, Scope.REPORTS)
        PurchasingPages(self.site, office)
        PurchaseOrderPages(self.site, office)
        TablePages(self.site, office)

    def _show(self, request: Request, template: str, page_query: PageQuery, moment: int, **given: Any) -> Response:
        status = 422 if page_query.faults else 200
        return self.site.page(
            request,
            template,
            status=status,
            now=moment,
            known_now=moment if page_query.known_at is None else min(page_query.known_at, moment),
            page_query=page_query,
            zone=page_query.zone,
            here=given.pop("here"),
            **given,
        )

    def _visible_locations(self, request: Request, connection: Connection) -> list[CatalogueLocation]:
        """The locations that the key at the page may see."""
        return visible_locations(connection, self.site.session(request).principal)

    def _query(self, request: Request, *, of_a_moment: str | None = None) -> PageQuery:
        with self._office.reading() as connection:
            return read_query(request, self._visible_locations(request, connection), of_a_moment=of_a_moment)

    def first(self, _request: Request) -> Response:
        return redirect("/stock")

    def stock(self, request: Request) -> Response:
        page_query = self._query(request)
        with self._office.reporting(page_query.known_at) as (connection, known_at):
            visible = self._visible_locations(request, connection)
            moment = now(connection)
            ids = [location.location_id for location in visible]
            after = request.query_params.get("after")
            page_query = page_query.checked(connection, ids, known_at)
            report, opened = page_query.question.answer(
                connection,
                location_ids=ids,
                item_ids=_find(connection, page_query.q, known_at) if page_query.q else None,
                known_at=known_at,
                after=STOCK_CURSOR.read(after),
                limit=ROWS,
            )
            fresh = freshness(connection, ids, report.cut)
        rows, following = report.rows, report.next
        if following is not None and rows and rows[-1].item_id != rows[0].item_id:
            # The last item may go on behind the limit: it is left to the next page, whole.
            rows = [row for row in rows if row.item_id != following.item_id] or rows
            following = group_stock.StockKey(rows[-1].item_id, rows[-1].location_id)
        shown = columns(visible, fresh, report.cut.sequences)
        return self._show(
            request,
            "stock.html",
            page_query,
            moment,
            here="/stock",
            columns=shown,
            rows=matrix(rows, shown, opened),
            following=None if following is None else STOCK_CURSOR.write(following),
            first=not after,
        )

    def explain(self, request: Request) -> Response:
        query = Form(dict(request.query_params))
        location_id, item_id = query["location_id"], query["item_id"]
        page_query = self._query(request)
        with self._office.reporting(page_query.known_at) as (connection, known_at):
            visible = self._visible_locations(request, connection)
            moment = now(connection)
            for name in ("location_id", "item_id"):
                if not query[name]:
                    invalid_request(name, "a figure is explained of one item at one location: name it")
            location = next((each for each in visible if each.location_id == location_id), None)
            if location is None:
                self.site.session(request).principal.check_location(location_id)
                raise UNKNOWN_LOCATION(f"there is no location {location_id}", location_id=location_id)
            page_query = page_query.checked(connection, [location_id], known_at)
            begin, end = ends_at(connection, page_query.over, [location_id], known_at)
            found = explain(
                connection,
                location_id,
                item_id,
                as_of=at_location(page_query.as_of_at(connection, [location_id], known_at), location_id),
                begin=at_location(begin, location_id),
                end=at_location(end, location_id),
                known_at=known_at,
            )
            if found is None:
                raise items.nothing_known(connection, item_id, location_id)
            names = _names(connection, [found.item_id], known_at)
            (fresh,) = freshness(connection, [location_id], found.cut).values()
        return self._show(
            request,
            "explain.html",
            page_query,
            moment,
            here="/stock",
            found=found,
            asked_code=item_id,
            explanation=explanation_view(found),
            location=location,
            name=names.get(found.item_id, found.item_id),
            fresh=fresh,
        )

    def transfers(self, request: Request) -> Response:
        page_query = self._query(request, of_a_moment="what is in transit")
        with self._office.reporting(page_query.known_at) as (connection, known_at):
            visible = self._visible_locations(request, connection)
            moment = now(connection)
            own = self.site.session(request).principal.location_id
            report = in_transit(
                connection,
                as_of=page_query.as_of_at(connection, None, known_at),
                known_at=known_at,
                location_ids=None if own is None else [own],
                limit=TRANSFERS_SHOWN + 1,
            )
            rows = report.rows[:TRANSFERS_SHOWN]
            open_ones = instructions.open_instructions(
                connection, [location.location_id for location in visible], ASKED_SHOWN
            )
            names = _names(
                connection,
                [
                    *(row.item_id for row in rows if row.item_id is not None),
                    *(line.item_id for each in open_ones for line in each.lines),
                ],
                known_at,
            )
        return self._show(
            request,
            "transfers.html",
            page_query,
            moment,
            here="/transfers",
            rows=in_transit_rows(rows, open_ones, names),
            more=len(report.rows) > len(rows),
            open_instructions=open_instructions(open_ones, names),
        )


def _find(connection: Connection, text: str, known_at: int | None) -> list[str]:
    """The items of the catalogue with every word of a text in their code, name, category or barcode, and those that
    the text means as a code."""
    found = items_meant(connection, text, None, known_at)
    after = ""
    while some := items.list_items(connection, after):
        after = some[-1].item_id
        for item in some:
            if holds_words(text, (item.item_id, item.name, item.category, item.barcode)):
                found.append(item.item_id)
    return found[:MOST_FOUND]


def _names(connection: Connection, item_ids: Iterable[str], known_at: int | None) -> dict[str, str]:
    return {item_id: item.name for item_id, item in items_known(connection, item_ids, known_at).items()}
