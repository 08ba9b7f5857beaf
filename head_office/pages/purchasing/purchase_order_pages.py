"""The pages of orders to suppliers: a list, one order, and the forms that make, change and close one."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final
from urllib.parse import quote, urlencode
from zoneinfo import ZoneInfo

from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response

from head_office.api.dependencies import BY_ID, Office, scoped
from head_office.api.reports.purchasing_routes import THE_PRESENT
from head_office.catalogue import items
from head_office.catalogue.purchases.group_suppliers import list_suppliers, suppliers_with_ids
from head_office.catalogue.purchases.purchase_order_changes import (
    change_order,
    close_order,
    make_orders,
    read_order,
)
from head_office.database.schema import now
from head_office.pages.page_query import visible_locations
from head_office.pages.page_views import common_zone
from head_office.pages.purchasing.office_forms import OfficeForm, OfficeFormRefusal, refused_form
from head_office.pages.purchasing.order_item_names import items_typed, order_to_change
from head_office.pages.purchasing.purchase_order_forms import (
    ALL_LINES,
    MOST_ORDER_FIELDS,
    prefilled,
    read_change,
    read_closing,
    read_new_order,
    refused_order,
    shown_lines,
    typed_lines,
)
from head_office.pages.purchasing.purchase_order_views import STATE_WORDS, OrderNames, OrderView, order_view
from head_office.pages.purchasing.purchasing_question import answer, read_question
from head_office.pages.purchasing.purchasing_views import rows_to_order
from head_office.problems import KEY_REUSED
from head_office.reports.purchasing.purchase_order_search import (
    GroupOrderFilter,
    purchase_order_records,
    search_purchase_orders,
)
from shared.catalogue_messages import CatalogueLocation
from shared.purchases.purchase_order_record import PurchaseOrderRecord
from shared.purchases.purchase_orders import MAX_ORDER_LINES, PurchaseOrderState
from shared.purchases.suppliers import Supplier
from shared.runtime.clock import business_date
from shared.runtime.http.cursor import page_of
from shared.runtime.http.scopes import Scope
from shared.runtime.pages.form_keys import form_key, with_key
from shared.runtime.pages.forms import Form
from shared.runtime.pages.site import Site, redirect
from shared.runtime.problems import Problem, Recorded, invalid_request

ORDERS: Final = "/orders"
NEW_ORDER: Final = "/new-order"
ORDERS_SHOWN: Final = 100
ITEMS_OFFERED: Final = 1_000
ANY: Final = "ANY"
"""The state by which orders of every state are asked for; without one, those that are open are listed."""


class PurchaseOrderPages:
    """The routes `/orders`, `/orders/{id}` and `/new-order` of head office's site."""

    def __init__(self, site: Site, office: Office) -> None:
        self._site = site
        self._office = office
        order = f"{ORDERS}/{{purchase_order_id:code}}"
        site.get(ORDERS, self.list, Scope.REPORTS)
        site.get(order, self.order, Scope.REPORTS)
        site.post(order, self.change, Scope.PURCHASING)
        site.get(NEW_ORDER, self.form, Scope.PURCHASING)
        site.post(NEW_ORDER, self.make, Scope.PURCHASING, most_fields=MOST_ORDER_FIELDS)

    # The list

    def list(self, request: Request) -> Response:
        query = Form(dict(request.query_params))
        principal = self._site.session(request).principal
        state = query["state"] or PurchaseOrderState.OPEN.value
        if state != ANY and state not in list(PurchaseOrderState):
            invalid_request("state", f"it is one of {', '.join([*PurchaseOrderState, ANY])}")
        place, supplier_id = scoped(principal, query["location_id"] or None), query["supplier_id"]
        wanted = GroupOrderFilter(
            location_id=place,
            supplier_id=supplier_id or None,
            state=None if state == ANY else PurchaseOrderState(state),
        )
        after = query["after"]
        with self._office.reading() as connection:
            found = search_purchase_orders(
                connection, wanted, after=BY_ID.read(after or None) or "", limit=ORDERS_SHOWN + 1
            )
            records, following = page_of(found, ORDERS_SHOWN, lambda each: BY_ID.write(each.purchase_order_id))
            visible = visible_locations(connection, principal)
            suppliers = list_suppliers(connection)
            moment = now(connection)
            views = _views(connection, records, visible, moment)
        fields = {
            name: text
            for name, text in (("location_id", query["location_id"]), ("supplier_id", supplier_id), ("state", state))
            if text
        }
        return self._site.page(
            request,
            "purchase_orders.html",
            now=moment,
            here=ORDERS,
            orders=views,
            visible=visible,
            suppliers=suppliers,
            states=[(ANY, "all"), *((each.value, words) for each, words in STATE_WORDS.items())],
            chosen={"location_id": query["location_id"], "supplier_id": supplier_id, "state": state},
            fields=fields,
            following=following,
            first=not after,
            zone=common_zone(visible),
            may_order=principal.may(Scope.PURCHASING),
        )

    # One order

    def order(self, request: Request) -> Response:
        return self._order_page(request, None)

    def change(self, request: Request) -> Response:
        form, order_id = self._site.form(request), request.path_params["purchase_order_id"]
        principal = self._site.session(request).principal
        try:
            if form["do"] == "close":
                closing = read_closing(form)
                with order_to_change(self._office, principal, order_id) as (connection, order):
                    close_order(connection, order, closing.lines, closing.reason)
            else:
                changing = read_change(form)
                with order_to_change(self._office, principal, order_id) as (connection, order):
                    change_order(connection, order, due=changing.due, note=changing.note)
        except OfficeFormRefusal as refusal:
            return self._order_page(request, refusal.form(form), status=422)
        except Problem as problem:
            if problem.status != 422:
                raise
            shown = refused_form(problem, form, {"lines[0]": "which"}, {})
            return self._order_page(request, shown, status=422)
        return _to_order(order_id, "closed" if form["do"] == "close" else "changed")

    def _order_page(self, request: Request, form: OfficeForm | None, *, status: int = 200) -> Response:
        principal = self._site.session(request).principal
        with self._office.reading() as connection:
            order = read_order(connection, request.path_params["purchase_order_id"])
            principal.check_location(order.location_id)
            records = purchase_order_records(connection, [order])
            visible = visible_locations(connection, principal)
            moment = now(connection)
            (view,) = _views(connection, records, visible, moment)
        values = Form({"due": order.due or "", "note": order.note or ""})
        # Somebody who had to sign in again has what was typed in the address.
        typed = Form({**values, **request.query_params, "which": request.query_params.get("which", ALL_LINES)})
        return self._site.page(
            request,
            "purchase_order.html",
            status=status,
            now=moment,
            here=ORDERS,
            order=view,
            form=form or OfficeForm(typed),
            done=request.query_params.get("done", ""),
            all_lines=ALL_LINES,
            zone=_zone(visible, order.location_id),
            may_order=principal.may(Scope.PURCHASING),
        )

    # A new order

    def form(self, request: Request) -> Response:
        query = Form(dict(request.query_params))
        values = with_key(query)
        own = self._site.session(request).principal.location_id
        if own is not None and not values["location_id"]:
            values = Form({**values, "location_id": own})
        more = 0
        if query["date"] and query["location_id"] and query["supplier_id"] and not any(typed_lines(query)):
            rows = self._rows_to_order(request, query)
            more = max(0, len(rows) - MAX_ORDER_LINES)
            values = prefilled(values, rows)
        return self._form_page(request, OfficeForm(values), left_out=more)

    def _rows_to_order(self, request: Request, query: Form) -> Any:
        """The rows of the report that the form orders: those of the figures that were on the page."""
        question = read_question(query)._replace(all_rows=False)
        place = scoped(self._site.session(request).principal, question.location_id)
        known = THE_PRESENT if question.known_at is None else question.known_at
        with self._office.reporting(known) as (connection, settled):
            if settled is None or place is None:
                raise AssertionError("the form names a location, and a moment was given")
            report = answer(connection, question, settled, [place])
        return rows_to_order(report.rows, place, query["supplier_id"])

    def make(self, request: Request) -> Response:
        form, principal = self._site.form(request), self._site.session(request).principal
        if form["more"]:
            count = shown_lines(form)
            first = shown_lines(Form({**form, "more": ""})) + 1
            values = Form({**form, "lines": str(count), "more": ""})
            return self._form_page(request, OfficeForm(values, focus=f"item-{min(first, MAX_ORDER_LINES)}"))
        key = form_key(form)
        with self._office.reading() as connection:
            meant = items_typed(connection, (line.item for line in typed_lines(form) if line.item))
        try:
            new = read_new_order(form, meant).new_order(key)
            principal.check_location(new.location_id)
            with self._office.writing() as connection:
                ((order, _),) = make_orders(connection, [new])
        except OfficeFormRefusal as refusal:
            return self._form_page(request, refusal.form(form), status=422)
        except Problem as problem:
            if problem.recorded is Recorded.UNKNOWN or problem.status not in (409, 422):
                raise
            again = with_key(form, new=problem.code == KEY_REUSED.code)
            return self._form_page(request, refused_order(problem, again), status=problem.status)
        return _to_order(order.purchase_order_id, "made")

    def _form_page(self, request: Request, form: OfficeForm, *, status: int = 200, left_out: int = 0) -> Response:
        principal = self._site.session(request).principal
        with self._office.reading() as connection:
            visible = visible_locations(connection, principal)
            suppliers = list_suppliers(connection)
            offered = items.list_items(connection, limit=ITEMS_OFFERED)
            typed = [line.item for line in typed_lines(form.values)]
            known = {each.item_id: each for each in items.read_many(connection, typed)}
        return self._site.page(
            request,
            "new_purchase_order.html",
            status=status,
            here=ORDERS,
            form=form,
            shown=shown_lines(form.values),
            most=MAX_ORDER_LINES,
            left_out=left_out,
            places=[(each.location_id, f"{each.name} ({each.location_id})") for each in visible],
            suppliers=[(each.supplier_id, f"{each.name} ({each.supplier_id})") for each in suppliers],
            offered=offered,
            known=known,
        )


def _to_order(order_id: str, done: str) -> Response:
    return redirect(f"{ORDERS}/{quote(order_id, safe='')}?{urlencode({'done': done})}")


def _zone(visible: Iterable[CatalogueLocation], location_id: str) -> ZoneInfo:
    return ZoneInfo(next((each.timezone for each in visible if each.location_id == location_id), "UTC"))


def _views(
    connection: Connection, records: Iterable[PurchaseOrderRecord], visible: Iterable[CatalogueLocation], moment: int
) -> list[OrderView]:
    records, visible = list(records), list(visible)
    suppliers: dict[str, Supplier] = suppliers_with_ids(connection, (each.supplier_id for each in records))
    known = items.read_many(connection, sorted({line.item_id for each in records for line in each.lines}))
    names = OrderNames(
        locations={each.location_id: each.name for each in visible},
        suppliers={each.supplier_id: each.name for each in suppliers.values()},
        items={each.item_id: each.name for each in known},
    )
    # The calendar's date at the order's location, as `due` is.
    today = {each.location_id: str(business_date(moment, _zone(visible, each.location_id), 0)) for each in records}
    return [order_view(each, names, today[each.location_id]) for each in records]
