"""Who may say at head office which systems tell of orders, and how what they sign is taken."""

from __future__ import annotations

from fastapi import APIRouter, Depends

from head_office.api.dependencies import Office, whole_group
from head_office.orders.office_sources import office_source_desk
from head_office.problems import PROBLEMS
from shared.orders.inbound_signatures import SignedEvents
from shared.orders.source_routes import source_routes
from shared.runtime.clock import Clock
from shared.runtime.http.auth import Principal
from shared.runtime.http.scopes import Scope
from shared.runtime.problems import FORBIDDEN, TOO_MANY_REQUESTS, UNAUTHENTICATED


def office_source_routes(office: Office, clock: Clock) -> APIRouter:
    """The routes below /v1/inbound/sources, for keys of the whole group: a source tells of orders of all of it."""

    async def key_of_group(principal: Principal = office.caller(Scope.CORRECT)) -> None:  # noqa: B008
        whole_group(principal)

    return source_routes(
        office_source_desk(office.engine, clock.now),
        caller=Depends(key_of_group),
        catalogue=PROBLEMS,
        always=(UNAUTHENTICATED, FORBIDDEN, TOO_MANY_REQUESTS),
    )


def office_signed_events(office: Office, clock: Clock) -> SignedEvents:
    """What takes the events that head office's sources sign; its clock is the machine's, and counts as right."""
    return SignedEvents(
        look_up=office_source_desk(office.engine, clock.now).find,
        read_clock=lambda: (clock.now(), True),
        monotonic=clock.monotonic,
        count=office.authenticator.count_signed,
        catalogue=PROBLEMS,
    )
