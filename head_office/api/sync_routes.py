"""`/v1/sync/…`: hello, log shipping, catalogue and instructions of a branch. Its key acts for its own location only."""

from __future__ import annotations

from typing import Annotated, Final

from anyio import to_thread
from fastapi import FastAPI, Query
from starlette.requests import Request
from starlette.responses import Response

from head_office.api import body_examples as examples
from head_office.api.body_budget import Bodies
from head_office.api.dependencies import Decoder, LocationQuery, Office, RawBody, Wait, out_of_range, own_location
from head_office.catalogue import catalogue_history, locations
from head_office.database.office_schema import CATALOGUE_CHANNEL, INSTRUCTIONS_CHANNEL
from head_office.log.hello_answer import hello
from head_office.log.ingest import ingest
from head_office.log.log_lines import LogPage, read_page
from head_office.orders.order_polling import open_order_instructions
from head_office.problems import (
    BAD_BATCH,
    BODY_TOO_SLOW,
    FORKED,
    GAP,
    PROBLEMS,
    SUPERSEDED,
    UNKNOWN_LOCATION,
)
from head_office.transfers import instructions
from shared import wire
from shared.catalogue_messages import CataloguePage
from shared.events import MAX_SEQUENCE
from shared.messages import EventsAnswer, Hello, HelloAnswer, InstructionPage
from shared.orders.order_instructions import BranchInstructions
from shared.runtime.clock import EARLIEST, LATEST
from shared.runtime.http.application import MAX_LIMIT, Limit, documented_answer, documented_body, json_response
from shared.runtime.http.auth import Principal
from shared.runtime.http.scopes import Scope
from shared.runtime.problems import BODY_TOO_LARGE, INVALID_REQUEST, OVERLOADED, WRONG_LOCATION

HELLO_EVERY_SECONDS: Final = 30
BODIES_BYTES: Final = wire.MAX_BATCH_BYTES
MAX_SMALL: Final = 2**31 - 1

EVENTS_PATH: Final = "/v1/sync/events"

Version = Annotated[int, Query(ge=0, le=MAX_SEQUENCE, description="Only changes after this version")]
CatalogueVersion = Annotated[
    int | None, Query(ge=0, le=MAX_SEQUENCE, description="What the reader has; where there is more, no waiting")
]
OrdersAfter = Annotated[
    int | None, Query(ge=0, le=MAX_SEQUENCE, description="Also what is asked for orders, with numbers above this one")
]
MOST_ORDERS: Final = 200
"""Instructions for orders in one answer: each has up to 250 lines."""

_hello = Decoder(Hello)


def add_sync_routes(app: FastAPI, office: Office) -> None:
    """Add the routes that branches call."""
    a_branch = office.caller(Scope.SYNC)
    bodies = Bodies(BODIES_BYTES, wire.MAX_BATCH_BYTES)

    @app.post(
        "/v1/sync/hello",
        tags=["sync"],
        summary="Hello: a branch reports the head of its log",
        openapi_extra=documented_body(Hello, example=examples.HELLO),
        responses={
            200: documented_answer(HelloAnswer, "What head office concludes"),
            **PROBLEMS.responses(UNKNOWN_LOCATION, WRONG_LOCATION, INVALID_REQUEST),
        },
    )
    def say_hello(*, principal: Principal = a_branch, raw: RawBody) -> Response:
        message: Hello = _hello(raw)
        _check_hello(message)
        principal.check_location(message.location_id)
        with office.writing() as connection:
            version = catalogue_history.read_head(connection).version
            answer = hello(connection, message, catalogue_version=version, hello_every_seconds=HELLO_EVERY_SECONDS)
        return json_response(answer)

    @app.post(
        EVENTS_PATH,
        tags=["sync"],
        summary="A branch ships a batch of its log",
        openapi_extra={
            "requestBody": {
                "required": True,
                "description": "A header and zstd frames of canonical lines, see shared/wire.py; at most 32 MiB",
                "content": {wire.CONTENT_TYPE: {"schema": {"type": "string", "format": "binary"}}},
            }
        },
        responses={
            200: documented_answer(EventsAnswer, "Head office's head of the location after the batch"),
            **PROBLEMS.responses(
                BAD_BATCH, GAP, FORKED, SUPERSEDED, WRONG_LOCATION, BODY_TOO_LARGE, BODY_TOO_SLOW, OVERLOADED
            ),
        },
    )
    async def take_events(request: Request, principal: Principal = a_branch) -> Response:
        def take(raw: bytes) -> EventsAnswer:
            with office.writing() as connection:
                batch = wire.unpack(raw)
                principal.check_location(batch.header.location_id)
                return ingest(connection, batch)

        async with bodies.read(request) as raw:
            answer = await to_thread.run_sync(take, raw, limiter=office.ingests)
        office.ingested()
        return json_response(answer)

    @app.get(
        "/v1/sync/catalogue",
        tags=["sync"],
        summary="What changed in the catalogue after a version",
        responses={200: documented_answer(CataloguePage, "Changes for this reader, chained")},
    )
    def read_catalogue(
        after: Version = 0,
        limit: Limit = MAX_LIMIT,
        principal: Principal = office.caller(Scope.SYNC, Scope.COORDINATE),  # noqa: B008 - evaluated once, on purpose
    ) -> Response:
        location_id = None if principal.may(Scope.COORDINATE) else own_location(principal)
        with office.reading() as connection:
            return json_response(catalogue_history.page(connection, after, limit, location_id))

    @app.get(
        "/v1/sync/instructions",
        tags=["sync"],
        summary="The open instructions of a branch; waits for one, or for a change of the catalogue",
        description="`orders` and `orders_next` are answered where `orders_after` is given: what is asked for orders "
        "that other systems told head office of. Both kinds have numbers of their own.",
        responses={200: documented_answer(BranchInstructions, "Open instructions in the order of their numbers")},
    )
    async def read_instructions(
        request: Request,
        *,
        after: Version = 0,
        wait: Wait = 0,
        limit: Limit = MAX_LIMIT,
        catalogue_version: CatalogueVersion = None,
        orders_after: OrdersAfter = None,
        principal: Principal = a_branch,
    ) -> Response:
        location_id = own_location(principal)

        def read() -> tuple[InstructionPage, bool]:
            """The page, and whether it has something new."""
            with office.reading() as connection:
                found = instructions.page(connection, location_id, after, limit)
                asked = None
                if orders_after is not None:
                    asked = open_order_instructions(connection, location_id, orders_after, min(limit, MOST_ORDERS))
                # A change between the reader's last request and this wait is not notified again.
                newer = (
                    catalogue_version is not None
                    and catalogue_history.read_head(connection).version > catalogue_version
                )
                if asked is None:
                    return found, newer or bool(found.instructions)
                both = BranchInstructions(found.instructions, found.next, orders=asked.orders, orders_next=asked.next)
                return both, newer or bool(found.instructions) or bool(asked.orders)

        channels = (INSTRUCTIONS_CHANNEL, location_id), (CATALOGUE_CHANNEL, "")
        return json_response(await office.long_poll(request, wait, read, *channels))

    @app.get(
        "/v1/sync/log",
        tags=["sync"],
        summary="Head office's copy of a log, line by line, for audits",
        responses={
            200: documented_answer(LogPage, "Canonical lines with their hashes"),
            **PROBLEMS.responses(UNKNOWN_LOCATION, WRONG_LOCATION, INVALID_REQUEST),
        },
    )
    def read_log(
        after: Version = 0,
        limit: Limit = MAX_LIMIT,
        location_id: LocationQuery = None,
        principal: Principal = office.caller(Scope.SYNC, Scope.ADMINISTER),  # noqa: B008 - evaluated once, on purpose
    ) -> Response:
        wanted = location_id or own_location(principal)
        principal.check_location(wanted)
        with office.reading() as connection:
            locations.check_locations(connection, [wanted])
            return json_response(read_page(connection, wanted, after, limit))


def _check_hello(message: Hello) -> None:
    """Refuse figures that the database cannot hold. Raises Problem 422 `invalid-request`."""
    for field, head in (("head", message.head), ("acknowledged", message.acknowledged)):
        if head is not None and not (0 <= head.sequence <= MAX_SEQUENCE and 0 <= head.epoch <= MAX_SEQUENCE):
            raise out_of_range(field, "its epoch or sequence is out of range")
    if message.now is not None and not 0 <= message.now < LATEST:
        raise out_of_range("now", "out of range")
    for place, count in enumerate(message.open_counts):
        if not EARLIEST <= count.opened_at < LATEST:
            raise out_of_range(f"open_counts[{place}].opened_at", "out of range")
    for field in ("protocol", "schema"):
        if not 0 <= getattr(message, field) <= MAX_SMALL:
            raise out_of_range(field, "out of range")
