"""The routes of the branch's pages: record, stock, log, void. They use the API's commands and queries."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from concurrent.futures import TimeoutError as TookTooLong
from typing import Any, Final
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from fastapi import FastAPI
from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response

from branch_node.api.dependencies import RECORDING, actor_of, scope_of
from branch_node.api.router import IMPORTS
from branch_node.commands.corrections import ALTERNATIVES, VoidEvent, still_standing
from branch_node.commands.count_areas import missing_in_open_count, open_counts
from branch_node.commands.event_commands import RecordEvent
from branch_node.database.lookups import event_by_id, first_by_key, sealed_where, voids_of
from branch_node.database.schema import LOG
from branch_node.database.stock import stock_figures
from branch_node.model import Command
from branch_node.pages.clock_pages import ClockPages
from branch_node.pages.deliveries.delivery_pages import DELIVERIES, DeliveryPages
from branch_node.pages.deliveries.delivery_queries import refers_to_order
from branch_node.pages.import_desk import PageNode
from branch_node.pages.import_pages import ImportPages
from branch_node.pages.page_forms import (
    KINDS,
    VOID_REASONS,
    FormKind,
    FormRefusal,
    FormView,
    find_item,
    read_record,
    read_void,
    recorded_something_else,
    refused_by,
    search_items,
)
from branch_node.pages.page_views import (
    EventRow,
    OpenCountView,
    StockFilter,
    event_row,
    open_count_view,
    shipping_view,
    stock_rows,
)
from branch_node.pages.recorded_notice import recorded_notice
from branch_node.pages.reservation_pages import RESERVATIONS, ReservationPages
from branch_node.problems import BUSY, KEY_REUSED, UNKNOWN_EVENT
from shared.chain import EMPTY, Head, Sealed
from shared.event_log import read_head
from shared.events import BY_HAND, EventType, quantity_text
from shared.runtime.http.auth import Principal
from shared.runtime.http.scopes import Scope
from shared.runtime.pages.form_keys import form_key, with_key
from shared.runtime.pages.forms import Form
from shared.runtime.pages.sessions import Sessions
from shared.runtime.pages.site import Site, redirect
from shared.runtime.pages.words import figure_filters
from shared.runtime.problems import FORBIDDEN, NOT_FOUND, Problem, Recorded

LAST_EVENTS: Final = 12
LOG_PAGE: Final = 50
STOCK_SHOWN: Final = 1_000
MOST_ITEMS: Final = 100_000
ANSWER_SECONDS: Final = 30.0

SECTIONS: Final = (
    ("/record/deduction", "Record"),
    ("/stock", "Stock"),
    (DELIVERIES, "Deliveries"),
    (RESERVATIONS, "Reservations"),
    (IMPORTS, "Import"),
    ("/log", "Log and shipping"),
)
SHOWS: Final = (
    (StockFilter.ALL.value, "All items"),
    (StockFilter.THERE.value, "What the book has"),
    (StockFilter.LOOK.value, "What needs attention"),
    (StockFilter.LOW.value, "What is low"),
)


def add_pages(app: FastAPI, node: PageNode) -> None:
    """Mount the branch's pages on the node's application."""
    _BranchPages(node).site.add_to(app)


class _BranchPages:
    def __init__(self, node: PageNode) -> None:
        self._node = node
        # Browsers tell cookies apart by host, not by port, and one machine may run several nodes.
        mark = hashlib.sha256(node.location_id.encode()).hexdigest()[:8]
        self.site = Site(
            package="branch_node.pages",
            name=self._name,
            sections=SECTIONS,
            sessions=Sessions(node.authenticator, node.clock, cookie=f"larder-branch-{mark}"),
            clock=node.clock,
            check=lambda session: session.principal.check_location(node.location_id),
        )
        self.site.templates.filters |= figure_filters(quantity_text) | {"plain": quantity_text}
        self.site.get("/", self.start)
        self.site.get("/record/{kind}", self.form)
        self.site.post("/record/{kind}", self.record, *RECORDING)
        self.site.get("/stock", self.stock)
        self.site.get("/log", self.log)
        self.site.get("/void/{event_id}", self.void_form, Scope.CORRECT)
        self.site.post("/void/{event_id}", self.void, Scope.CORRECT)
        ClockPages(self.site, node, self._show, self._commit)
        ImportPages(self.site, node, self._show, self._commit)
        ReservationPages(self.site, node, self._show, self._commit)
        DeliveryPages(self.site, node, self._show, self._commit)

    def _name(self) -> str:
        try:
            return self._node.writer.location.name
        except Problem:
            return self._node.location_id  # the writer has no database connection; the page can still report it

    # Common parts

    def _zone(self) -> ZoneInfo:
        return ZoneInfo(self._node.writer.location.timezone)

    def _show(
        self, request: Request, connection: Connection, template: str, *, status: int = 200, **given: Any
    ) -> Response:
        """A page whose figures, and the state of shipping above them, come from the connection's snapshot."""
        session = self.site.session(request)
        head = self._head(connection)
        return self.site.page(
            request,
            template,
            status=status,
            zone=self._zone(),
            head=head,
            clock_confirmed=self._node.clock.confirmed,
            counts_wait=bool(open_counts(connection)),
            shipping=shipping_view(self._node.board.read(), head.sequence),
            kinds=[(kind.value, labels.name) for kind, labels in KINDS.items()],
            may_record=session.principal.may(*RECORDING),
            may_sell=session.principal.may(Scope.SELL),
            may_restock=session.principal.may(Scope.RESTOCK),
            may_void=session.principal.may(Scope.CORRECT),
            recordable=[kind.value for kind in _recordable(session.principal)],
            **given,
        )

    def _head(self, connection: Connection) -> Head:
        return read_head(connection, LOG, self._node.location_id) or EMPTY

    def _open_counts(self, connection: Connection, head: int) -> list[OpenCountView]:
        items = self._node.writer.items
        return [
            open_count_view(each, missing_in_open_count(connection, each.count_id, head), items)
            for each in open_counts(connection)
        ]

    def _rows(self, connection: Connection, after: int, through: int) -> list[EventRow]:
        """The events with sequences after `after` up to `through`, the newest first."""
        event = LOG.event
        found = sealed_where(connection, event.c.sequence.between(after + 1, through))
        voids = voids_of(connection, [each.event.sequence for each in found])
        return self._events(found[::-1], voids)

    def _events(self, found: Sequence[Sealed], voids: dict[int, int]) -> list[EventRow]:
        items = self._node.writer.items
        return [event_row(each.event, items, voids.get(each.event.sequence)) for each in found]

    def _commit(self, command: Command) -> Any:
        try:
            return self._node.writer.submit(command).result(ANSWER_SECONDS)
        except TookTooLong as error:
            raise BUSY("the node has not answered in time", recorded=Recorded.UNKNOWN) from error

    # Recording

    def start(self, request: Request) -> Response:
        kinds = _recordable(self.site.session(request).principal)
        return redirect(f"/record/{kinds[0]}" if kinds else "/stock")

    def form(self, request: Request) -> Response:
        kind = _kind(request)
        values = Form(dict(request.query_params))
        if values["key"]:
            # The form of a person who had to sign in again: what it recorded before is not recorded twice.
            recorded = self._recorded_under(values["key"])
            if recorded is not None:
                return redirect(f"/record/{kind}?{urlencode({'done': recorded})}")
        return self._form_page(request, kind, FormView(with_key(values), focus="item" if values["done"] else None))

    def record(self, request: Request) -> Response:
        kind, form = _kind(request), self.site.form(request)
        principal = self.site.session(request).principal
        try:
            entry = read_record(kind, form, self._node.writer.items, self._zone())
            principal.check_scope(scope_of(entry.type))
            answer = self._commit(RecordEvent(entry, key=form_key(form), actor=actor_of(principal, None)))
        except FormRefusal as refused:
            return self._form_page(request, kind, refused.view(form), status=422)
        except Problem as problem:
            if problem.recorded is Recorded.UNKNOWN or problem.code == FORBIDDEN.code:
                raise  # of the first the site shows the form once more, with its key
            if problem.code == KEY_REUSED.code:
                return self._form_page(
                    request, kind, recorded_something_else(with_key(form, new=True)), status=problem.status
                )
            return self._form_page(request, kind, refused_by(problem).view(form), status=problem.status)
        # Only an order to a supplier is referred to here: its page tells what of it is still open.
        page = f"/record/{kind}" if entry.reference is None else DELIVERIES
        return redirect(f"{page}?{urlencode({'done': answer.event_id})}")

    def _recorded_under(self, key: str) -> str | None:
        with self._node.store.reading() as connection:
            found = first_by_key(connection, [key])
        return found[key].event.event_id if key in found else None

    def _form_page(self, request: Request, kind: FormKind, form: FormView, *, status: int = 200) -> Response:
        items = self._node.writer.items

        def again(item_id: str) -> str:
            return Form({**form.values, "item": item_id, "done": ""}).query()

        with self._node.store.reading() as connection:
            head = self._head(connection).sequence
            return self._show(
                request,
                connection,
                "record.html",
                status=status,
                here="/record/deduction",
                kind=kind,
                labels=KINDS[kind],
                form=form,
                item=find_item(form.values["item"], items),
                items=search_items("", items.values()),
                units=[(unit, unit) for unit in sorted({item.unit for item in items.values()})],
                again=again,
                done=recorded_notice(connection, form.values["done"], items, now=self.site.clock.now()),
                rows=self._rows(connection, max(0, head - LAST_EVENTS), head),
            )

    # Stock and log

    def stock(self, request: Request) -> Response:
        query = Form(dict(request.query_params))
        show = StockFilter(query["show"]) if query["show"] in set(StockFilter) else StockFilter.ALL
        with self._node.store.reading() as connection:
            stock = stock_figures.stock(connection, now=self.site.clock.now(), after=None, limit=MOST_ITEMS)
            items = self._node.writer.items.values()
            rows = stock_rows(search_items(query["q"], items), stock.items, show, items)
            return self._show(
                request,
                connection,
                "stock.html",
                rows=rows[:STOCK_SHOWN],
                count=len(rows),
                q=query["q"],
                show=show.value,
                shows=SHOWS,
            )

    def log(self, request: Request) -> Response:
        query = request.query_params.get("before", "")
        with self._node.store.reading() as connection:
            head = self._head(connection).sequence
            before = min(int(query), head + 1) if query.isascii() and query.isdigit() and len(query) < 18 else head + 1
            first = max(0, before - 1 - LOG_PAGE)
            return self._show(
                request,
                connection,
                "log.html",
                open_counts=self._open_counts(connection, head),
                rows=self._rows(connection, first, before - 1),
                older=first + 1 if first else None,
                newer=before + LOG_PAGE if before <= head else None,
            )

    # Voiding

    def void_form(self, request: Request) -> Response:
        return self._void_page(request, FormView(with_key(Form(dict(request.query_params)))))

    def void(self, request: Request) -> Response:
        form, principal = self.site.form(request), self.site.session(request).principal
        event_id = request.path_params["event_id"]
        try:
            content = read_void(event_id, form)
            self._commit(VoidEvent(content, key=form_key(form), actor=actor_of(principal, None)))
        except FormRefusal as refused:
            return self._void_page(request, refused.view(form), status=422)
        except Problem as problem:
            if problem.recorded is Recorded.UNKNOWN:
                raise
            return self._void_page(request, refused_by(problem).view(form), status=problem.status)
        with self._node.store.reading() as connection:
            of_order = refers_to_order(connection, event_id)
        # The page of deliveries tells what of the order is open again.
        page = DELIVERIES if of_order else "/record/deduction"
        return redirect(f"{page}?{urlencode({'done': event_id})}")

    def _void_page(self, request: Request, form: FormView, *, status: int = 200) -> Response:
        event_id = request.path_params["event_id"]
        with self._node.store.reading() as connection:
            found = event_by_id(connection, event_id)
            if found is None:
                raise UNKNOWN_EVENT(f"there is no event {event_id!r}", hint="The log's page lists the events.")
            standing = still_standing(connection, found.event)
            (row,) = self._events([found], voids_of(connection, [found.event.sequence]))
            others = self._events([each for each in standing if each.event.sequence != found.event.sequence], {})
            return self._show(
                request,
                connection,
                "void.html",
                status=status,
                here="/log",
                row=row,
                others=[each for each in others if each.voidable] if found.event.type in BY_HAND else [],
                form=form,
                reasons=VOID_REASONS,
                instead=ALTERNATIVES.get(EventType(found.event.type), ""),
            )


def _recordable(principal: Principal) -> list[FormKind]:
    """The forms that a principal may send."""
    return [kind for kind, labels in KINDS.items() if principal.may(*(scope_of(each) for each, _ in labels.types))]


def _kind(request: Request) -> FormKind:
    try:
        return FormKind(request.path_params["kind"])
    except ValueError as error:
        raise NOT_FOUND("there is no such form", hint="Begin at the first page.") from error
