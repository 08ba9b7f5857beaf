"""The pages of orders to suppliers: which are open, one of them, and the form that records what was delivered of it.

Orders are as they were pulled last, and what was delivered is by this branch's own log: all of it works offline.
"""

from __future__ import annotations

import datetime
from typing import Final
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from starlette.requests import Request
from starlette.responses import Response

from branch_node.api.dependencies import ApiNode, actor_of
from branch_node.commands.purchases.receive_order import ReceiveOrder
from branch_node.database.lookups import first_by_key
from branch_node.database.purchases.pulled_order_lists import MOST_OPEN, ended_purchase_orders, open_purchase_orders
from branch_node.pages.clock_pages import Committed, Shown
from branch_node.pages.deliveries.delivery_forms import (
    LINES_SHOWN,
    MOST_DELIVERY_FIELDS,
    MOST_ROWS,
    added_to,
    delivery_refused,
    form_rows,
    read_delivery,
    refused_view,
    without_quantities,
)
from branch_node.pages.deliveries.delivery_queries import deliveries_of, delivery_notice, order_view, order_views
from branch_node.pages.deliveries.delivery_views import SupplierOrderView, first_rows, holds, line_forms
from branch_node.pages.page_forms import FormRefusal, FormView, recorded_something_else
from branch_node.problems import KEY_REUSED, PURCHASE_ORDER_NOT_FOUND
from shared.events import quantity_text
from shared.runtime.clock import business_date
from shared.runtime.http.scopes import Scope
from shared.runtime.pages.form_keys import form_key, with_key
from shared.runtime.pages.forms import Form
from shared.runtime.pages.site import Site, redirect
from shared.runtime.problems import Problem, Recorded
from shared.runtime.text.text_faults import code_fault

DELIVERIES: Final = "/deliveries"
ENDED_SHOWN: Final = 25
MAX_ORDER_ID: Final = 64
ORDER: Final = f"{DELIVERIES}/{{purchase_order_id:code}}"


class DeliveryPages:
    """The routes `/deliveries` and `/deliveries/{id}` of a node's site."""

    def __init__(self, site: Site, node: ApiNode, show: Shown, commit: Committed) -> None:
        self._site = site
        self._node = node
        self._show = show
        self._commit = commit
        reading = (Scope.REPORTS, Scope.RESTOCK)
        site.get(DELIVERIES, self.list, *reading)
        site.get(ORDER, self.order, *reading)
        site.post(ORDER, self.receive, Scope.RESTOCK, most_fields=MOST_DELIVERY_FIELDS)

    def _zone(self) -> ZoneInfo:
        return ZoneInfo(self._node.writer.location.timezone)

    def _today(self) -> datetime.date:
        return business_date(self._site.clock.now(), self._zone(), 0)

    # The list

    def list(self, request: Request) -> Response:
        query = Form(dict(request.query_params))
        items, today = self._node.writer.items, self._today()
        before = _code(query["before"])
        searched = query["q"]
        with self._node.store.reading() as connection:
            opened = order_views(connection, open_purchase_orders(connection), items, today)
            ended = ended_purchase_orders(connection, before=before, limit=ENDED_SHOWN + 1)
            # An order that somebody looks for by its id is found whether or not anything of it is open.
            named = order_view(connection, searched, items, today) if _code(searched) else None
            fitting = [each for each in opened if holds(each, searched)]
            if named is not None and named.is_open and named not in fitting:
                fitting.insert(0, named)  # beyond the open orders that a page shows
            return self._show(
                request,
                connection,
                "deliveries.html",
                here=DELIVERIES,
                done=delivery_notice(connection, query["done"], items, now=self._site.clock.now(), today=today),
                opened=fitting,
                capped=len(opened) == MOST_OPEN and not searched,
                ended=order_views(connection, ended[:ENDED_SHOWN], items, today),
                named=None if named is None or named.is_open else named,
                older=ended[ENDED_SHOWN - 1].purchase_order_id if len(ended) > ENDED_SHOWN else None,
                newest=before is not None,
                q=searched,
                new=_code(searched) or "",
            )

    # One order

    def order(self, request: Request) -> Response:
        values = Form(dict(request.query_params))
        if values["key"]:
            # The form of a person who had to sign in again: what it recorded before is not recorded twice.
            recorded = self._recorded_under(values["key"])
            if recorded is not None:
                return _done_with(recorded)
        return self._page(request, values)

    def receive(self, request: Request) -> Response:
        form = self._site.form(request)
        purchase_order_id = request.path_params["purchase_order_id"]
        if form["empty"]:
            return self._page(request, without_quantities(form))
        if form["again"]:
            return self._page(request, form)
        actor = actor_of(self._site.session(request).principal, None)
        try:
            content = read_delivery(purchase_order_id, form, self._zone())
            answer = self._commit(ReceiveOrder(content, key=form_key(form), actor=actor))
        except FormRefusal as refused:
            return self._page(request, form, refused, status=422)
        except Problem as problem:
            if problem.recorded is Recorded.UNKNOWN:
                raise  # the site shows the form once more, with its key
            if problem.code == PURCHASE_ORDER_NOT_FOUND.code:
                # It was there when the page was made: what was typed is kept until it is there again.
                return self._site.form_again(request, problem, form)
            if problem.code == KEY_REUSED.code:
                again = with_key(form, new=True)
                refusal = FormRefusal({}, recorded_something_else(again).refused)
                return self._page(request, again, refusal, status=problem.status)
            return self._page(request, form, problem, status=problem.status)
        return _done_with(answer.recorded[0].event_id)

    def _recorded_under(self, key: str) -> str | None:
        with self._node.store.reading() as connection:
            found = first_by_key(connection, [key])
        return found[key].event.event_id if key in found else None

    def _page(
        self, request: Request, form: Form, refused: FormRefusal | Problem | None = None, *, status: int = 200
    ) -> Response:
        """The page of an order, with its form as it was sent, or filled in with what is open."""
        items = self._node.writer.items
        purchase_order_id = request.path_params["purchase_order_id"]
        with self._node.store.reading() as connection:
            found = order_view(connection, purchase_order_id, items, self._today())
            if found is None:
                raise _not_pulled(purchase_order_id)
            first = min(_number(form["from"]), len(found.lines))
            shown = found.lines[first - 1 : first - 1 + LINES_SHOWN]
            numbers = [line.line for line in shown]
            rows = form_rows(form, numbers)
            values = with_key(form if form["key"] else _filled_in(found, numbers))
            if isinstance(refused, Problem):
                refused = delivery_refused(refused, first_rows(shown, items))
            added = [row for row in rows if row.line == added_to(form)]
            focus = added[-1].field("quantity") if added else None
            view = FormView(values, focus=focus) if refused is None else refused_view(refused, values, rows)
            forms = line_forms(shown, rows)
            return self._show(
                request,
                connection,
                "delivery.html",
                status=status,
                here=DELIVERIES,
                order=found,
                form=view,
                open_forms=[each for each in forms if each.line.open],
                other_forms=[each for each in forms if not each.line.open],
                first=first,
                previous=max(1, first - LINES_SHOWN) if first > 1 else None,
                following=first + LINES_SHOWN if first - 1 + LINES_SHOWN < len(found.lines) else None,
                spare=len(rows) < MOST_ROWS,
                deliveries=deliveries_of(connection, purchase_order_id, items),
            )


def _filled_in(order: SupplierOrderView, numbers: list[int]) -> Form:
    """The form that states that all came that is open of these lines.

    What was ordered at which price is told beside the field and not filled in: a cost is that of what came, and
    would be wrong for less or more.
    """
    wanted = set(numbers)
    fields = {f"quantity-{line.line}-1": quantity_text(line.open) for line in order.open_lines if line.line in wanted}
    return Form({**fields, "currency": order.currency, "from": str(numbers[0])})


def _not_pulled(purchase_order_id: str) -> Problem:
    hint = (
        "The page of deliveries lists those that are here. What came of another one is recorded as a delivery, with "
        "the order's id."
    )
    detail = f"the order {purchase_order_id!r} was not pulled from head office"
    return PURCHASE_ORDER_NOT_FOUND(detail, hint=hint, purchase_order_id=purchase_order_id)


def _done_with(event_id: str) -> Response:
    return redirect(f"{DELIVERIES}?{urlencode({'done': event_id})}")


def _number(text: str) -> int:
    """The number of a line as a query gives it; 1 where it is none."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 5 and int(text) else 1


def _code(text: str) -> str | None:
    """A code as a query gives it; None where it is empty, or none."""
    return text if text and len(text) <= MAX_ORDER_ID and code_fault(text) is None else None
