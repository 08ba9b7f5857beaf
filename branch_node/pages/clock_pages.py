"""The page of the node's clock: confirm it, and have what it dated wrongly recorded again."""

from __future__ import annotations

from itertools import islice
from typing import Any, Final, NamedTuple, Protocol
from urllib.parse import urlencode

from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response

from branch_node.api.clock_routes import repair_clock, settlement
from branch_node.api.dependencies import ApiNode, actor_of
from branch_node.clock.clock_settlement import clock_state
from branch_node.clock.misdated_events import MisdatedEvent, misdated_events
from branch_node.model import Command, Item
from branch_node.problems import CLOCK_OUT_OF_RANGE, CLOCK_UNCONFIRMED, STRICT_ITEM
from shared.events import BY_HAND
from shared.runtime.http.scopes import Scope
from shared.runtime.pages.site import Site, redirect
from shared.runtime.pages.words import in_words
from shared.runtime.problems import Problem

SHOWN: Final = 50


class Shown(Protocol):
    """Shows a template with what a connection's snapshot holds."""

    def __call__(
        self, request: Request, connection: Connection, template: str, *, status: int = 200, **given: Any
    ) -> Response: ...


class Committed(Protocol):
    """Records a command; its answer."""

    def __call__(self, command: Command) -> Any: ...


class RedatingRow(NamedTuple):
    """An event that a wrong clock dated; times in microseconds UTC."""

    sequence: int
    name: str
    what: str
    was: int
    is_: int
    repairable: bool


class ClockPages:
    """The routes `/clock`, `/clock/confirm` and `/clock/repair` of a node's site."""

    def __init__(self, site: Site, node: ApiNode, show: Shown, commit: Committed) -> None:
        self._site = site
        self._node = node
        self._show = show
        self._commit = commit
        site.get("/clock", self.clock)
        site.post("/clock/confirm", self.confirm, Scope.CORRECT)
        site.post("/clock/repair", self.repair, Scope.CORRECT)

    def clock(self, request: Request) -> Response:
        return self._page(request)

    def confirm(self, request: Request) -> Response:
        actor = self._actor(request)
        try:
            self._commit(settlement(self._node.clock, actor))
        except Problem as problem:
            if problem.code != CLOCK_OUT_OF_RANGE.code:
                raise
            return self._page(request, refused=f"{problem.title}. {problem.hint}", status=problem.status)
        return redirect("/clock")

    def repair(self, request: Request) -> Response:
        actor = self._actor(request)
        passed = _number(self._site.form(request)["pass_over"])
        try:
            answer = repair_clock(self._node, actor, passed, self._commit)
        except Problem as problem:
            if problem.code != CLOCK_UNCONFIRMED.code:
                raise
            return self._page(request, refused=problem.title, status=problem.status)
        if answer.refused:
            reasons = " ".join(f"Event {each.sequence}: {each.detail}." for each in answer.refused[:3])
            # Of what is due the refused ones come first: the next request begins behind them.
            passed = passed + len(answer.refused) if answer.more else 0
            return self._page(
                request, refused=reasons, repaired=answer.repaired, pass_over=passed, status=STRICT_ITEM.status
            )
        return redirect(f"/clock?{urlencode({'repaired': answer.repaired})}")

    def _actor(self, request: Request) -> str:
        return actor_of(self._site.session(request).principal, None)

    def _page(
        self,
        request: Request,
        *,
        refused: str | None = None,
        repaired: int | None = None,
        pass_over: int = 0,
        status: int = 200,
    ) -> Response:
        if repaired is None:
            repaired = _number(request.query_params.get("repaired", ""))
        items = self._node.writer.items
        with self._node.store.reading() as connection:
            found = list(islice(misdated_events(connection), SHOWN + 1))
            return self._show(
                request,
                connection,
                "clock.html",
                status=status,
                here="/log",
                clock=clock_state(connection, self._node.clock),
                wrong=[_row(each, items) for each in found[:SHOWN]],
                more=len(found) > SHOWN,
                refused=refused,
                repaired=repaired,
                pass_over=pass_over,
            )


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0


def _row(found: MisdatedEvent, items: dict[str, Item]) -> RedatingRow:
    event = found.event
    item = items.get(event.item_id or "")
    return RedatingRow(
        sequence=event.sequence,
        name=item.name if item else event.item_id or "",
        what=in_words(event.type),
        was=event.occurred_at,
        is_=event.occurred_at + found.correction,
        repairable=event.type in BY_HAND,
    )
