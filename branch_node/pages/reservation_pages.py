"""The pages of reservations: what is reserved for which order, and the forms that reserve, confirm and release."""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import urlencode

from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response

from branch_node.api.dependencies import ApiNode, actor_of
from branch_node.commands.reservations.reservation_commands import ConfirmReservation, ReleaseReservation, Reserve
from branch_node.commands.reservations.reservation_refusals import unless_refused
from branch_node.database.lookups import first_by_key
from branch_node.database.reservation_lists import ReservationsWanted, active_by_expiry, ended_newest_first
from branch_node.database.reservation_rows import reservation_with_id, reservations_of_orders
from branch_node.model import Command
from branch_node.pages.clock_pages import Committed, Shown
from branch_node.pages.page_forms import (
    FormFault,
    FormRefusal,
    FormView,
    find_item,
    recorded_something_else,
    search_items,
)
from branch_node.pages.recorded_notice import MOST_TOUCHED, stock_now
from branch_node.pages.reservation_forms import (
    EXPIRIES,
    MOST_FORM_LINES,
    RELEASE_REASONS,
    ending_refused,
    lines_shown,
    read_confirmation,
    read_release,
    read_reservation,
    reservation_refused,
    sent_lines,
)
from branch_node.pages.reservation_views import reservation_view, whole_order
from branch_node.problems import INVENTORY_UNAVAILABLE, KEY_REUSED, UNKNOWN_RESERVATION
from shared.events import Event, EventType
from shared.reservations import Reservation
from shared.runtime.http.scopes import Scope
from shared.runtime.pages.form_keys import form_key, with_key
from shared.runtime.pages.forms import Form
from shared.runtime.pages.site import Site, redirect
from shared.runtime.problems import BAD_REQUEST, Problem, Recorded
from shared.runtime.text.text_faults import code_fault

RESERVATIONS: Final = "/reservations"
ACTIVE_SHOWN: Final = 200
ENDED_SHOWN: Final = 25
CONFIRM: Final = "confirm"
RELEASE: Final = "release"


class ReservationPages:
    """The routes `/reservations`, `/reservations/new` and `/reservations/{id}` of a node's site."""

    def __init__(self, site: Site, node: ApiNode, show: Shown, commit: Committed) -> None:
        self._site = site
        self._node = node
        self._show = show
        self._commit = commit
        site.get(RESERVATIONS, self.list)
        site.get(f"{RESERVATIONS}/new", self.form)
        site.post(f"{RESERVATIONS}/new", self.reserve, Scope.SELL)
        site.get(f"{RESERVATIONS}/{{reservation_id:code}}", self.reservation)
        site.post(f"{RESERVATIONS}/{{reservation_id:code}}", self.end, Scope.SELL)

    # The list

    def list(self, request: Request) -> Response:
        query = Form(dict(request.query_params))
        order, item = _code(query["q"]), _code(query["item"])
        items, now = self._node.writer.items, self._site.clock.now()
        found = None if item is None else find_item(item, items)
        wanted = ReservationsWanted(order_id=order, item_id=item if found is None else found.item_id)
        before = _code(query["before"])
        with self._node.store.reading() as connection:
            active, count = active_by_expiry(connection, wanted, now=now, limit=ACTIVE_SHOWN)
            ended = ended_newest_first(connection, wanted, now=now, before=before, limit=ENDED_SHOWN + 1)
            older = ended[ENDED_SHOWN - 1].reservation_id if len(ended) > ENDED_SHOWN else None
            return self._show(
                request,
                connection,
                "reservations.html",
                now=now,
                done=self._done(connection, query["done"], now),
                active=[reservation_view(each, items, now) for each in active],
                count=count,
                ended=[reservation_view(each, items, now) for each in ended[:ENDED_SHOWN]],
                older=None if older is None else urlencode(_given(q=order, item=item, before=older)),
                newest=None if before is None else urlencode(_given(q=order, item=item)),
                q=query["q"],
                item=query["item"],
                filtered=bool(order or item),
                items=search_items("", items.values()),
            )

    def _done(self, connection: Connection, reservation_id: str, now: int) -> dict[str, Any] | None:
        """What is told of a reservation that was just made or ended: as it is now, with the stock of its items."""
        found = reservation_with_id(connection, reservation_id) if _code(reservation_id) else None
        if found is None:
            return None
        items = self._node.writer.items
        return {
            "reservation": reservation_view(found, items, now),
            "stock": [stock_now(connection, line.item_id, items, now) for line in found.lines[:MOST_TOUCHED]],
            "more": max(0, len(found.lines) - MOST_TOUCHED),
        }

    # Reserving

    def form(self, request: Request) -> Response:
        values = Form(dict(request.query_params))
        # The form of a person who had to sign in again: what it recorded before is not recorded twice.
        recorded = self._recorded_under(values)
        if recorded is None:
            return self._form_page(request, FormView(with_key(values), focus="item-1" if values["order"] else "order"))
        if recorded.type is EventType.RESERVATION_REFUSED:
            fault = FormFault("Nothing was reserved: not everything was available.", "Send it again to try once more.")
            return self._form_page(request, FormView(with_key(values, new=True), refused=fault))
        return _done_with(recorded.reservation_id or "")

    def reserve(self, request: Request) -> Response:
        form, items = self._site.form(request), self._node.writer.items
        actor = self._actor(request)
        if form["more"]:
            shown = lines_shown(Form({**form, "more": ""}))
            return self._form_page(request, FormView(form, focus=f"item-{min(shown + 1, MOST_FORM_LINES)}"))
        try:
            command = Reserve(read_reservation(form, items), key=form_key(form), actor=actor)
            made = unless_refused(self._commit(command))
        except FormRefusal as refused:
            return self._form_page(request, refused.view(form), status=422)
        except Problem as problem:
            if problem.recorded is Recorded.UNKNOWN:
                raise  # the site shows the form once more, with its key
            if problem.code == KEY_REUSED.code:
                view = recorded_something_else(with_key(form, new=True))
            else:
                # A refusal that is in the log is this key's answer for ever: a new try takes a new key.
                again = with_key(form, new=problem.code == INVENTORY_UNAVAILABLE.code)
                view = reservation_refused(problem, form, items).view(again)
            return self._form_page(request, view, status=problem.status)
        return _done_with(made.reservation_id)

    def _actor(self, request: Request) -> str:
        return actor_of(self._site.session(request).principal, None)

    def _recorded_under(self, form: Form) -> Event | None:
        """The first event that a form's key has recorded."""
        key = form["key"]
        if not key or with_key(form)["key"] != key:
            return None
        with self._node.store.reading() as connection:
            found = first_by_key(connection, [key])
        return found[key].event if key in found else None

    def _form_page(self, request: Request, form: FormView, *, status: int = 200) -> Response:
        items = self._node.writer.items
        with self._node.store.reading() as connection:
            return self._show(
                request,
                connection,
                "reserve.html",
                status=status,
                here=RESERVATIONS,
                form=form,
                shown=lines_shown(form.values),
                most=MOST_FORM_LINES,
                expiries=EXPIRIES,
                found=[find_item(form.values[f"item-{number}"], items) for number in range(1, MOST_FORM_LINES + 1)],
                items=search_items("", items.values()),
            )

    # One reservation

    def reservation(self, request: Request) -> Response:
        values = Form(dict(request.query_params))
        if self._recorded_under(values) is not None:
            return _done_with(request.path_params["reservation_id"])
        return self._page(request, FormView(with_key(values)))

    def end(self, request: Request) -> Response:
        form, actor = self._site.form(request), self._actor(request)
        reservation_id = request.path_params["reservation_id"]
        try:
            self._commit(_ending(reservation_id, form, actor))
        except FormRefusal as refused:
            return self._page(request, refused.view(form), status=422)
        except Problem as problem:
            if problem.recorded is Recorded.UNKNOWN or problem.code == UNKNOWN_RESERVATION.code:
                raise
            if problem.code == KEY_REUSED.code:
                view = recorded_something_else(with_key(form, new=True))
            else:
                view = ending_refused(problem, form).view(form)
            return self._page(request, view, status=problem.status)
        return _done_with(reservation_id)

    def _page(self, request: Request, form: FormView, *, status: int = 200) -> Response:
        reservation_id = request.path_params["reservation_id"]
        items, now = self._node.writer.items, self._site.clock.now()
        with self._node.store.reading() as connection:
            found = reservation_with_id(connection, reservation_id)
            if found is None:
                hint = "The page of reservations lists them."
                raise UNKNOWN_RESERVATION(f"there is no reservation {reservation_id!r}", hint=hint)
            of_order = reservations_of_orders(connection, [(found.order_id, found.source)])
            fresh = FormView(with_key(Form({})))
            act = form.values["act"]
            return self._show(
                request,
                connection,
                "reservation.html",
                status=status,
                now=now,
                here=RESERVATIONS,
                reservation=reservation_view(found, items, now),
                confirmation=form if act == CONFIRM else fresh,
                giving_back=form if act == RELEASE else fresh,
                refused=form.refused,
                typed=sent_lines(form.values) if act == CONFIRM else {},
                anew=whole_order(found, of_order) if _may_state_anew(found, of_order) else None,
                reasons=RELEASE_REASONS,
                items={item_id: item.name for item_id, item in items.items()},
            )


def _ending(reservation_id: str, form: Form, actor: str) -> Command:
    if form["act"] == CONFIRM:
        return ConfirmReservation(read_confirmation(reservation_id, form), key=form_key(form), actor=actor)
    if form["act"] == RELEASE:
        return ReleaseReservation(read_release(reservation_id, form), key=form_key(form), actor=actor)
    raise BAD_REQUEST("the form does not say what to do", hint="Load the page again and send its form.")


def _may_state_anew(reservation: Reservation, of_order: list[Reservation]) -> bool:
    """Whether the order can be stated anew from this reservation: it is the order's last, and not all was served."""
    newest = max(of_order, key=lambda each: each.reservation_id)
    served = all(line.confirmed == line.quantity for line in reservation.lines)
    return newest.reservation_id == reservation.reservation_id and not served


def _done_with(reservation_id: str) -> Response:
    return redirect(f"{RESERVATIONS}?{urlencode({'done': reservation_id})}")


def _code(text: str) -> str | None:
    """A code as a query gives it; None where it is empty, or none."""
    return text if text and len(text) <= 100 and code_fault(text) is None else None


def _given(**named: str | None) -> dict[str, str]:
    return {name: text for name, text in named.items() if text is not None}
