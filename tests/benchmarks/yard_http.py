"""Yardsticks over HTTP: a route that only validates, one that commits each request, one that appends for transfers.

`python -m tests.benchmarks.yard_http NAME [DATABASE]` serves one on a free port, in the same server as ours.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import uvicorn
from fastapi import FastAPI, Request, Response
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from shared.event_log import BRANCH_COLUMNS
from shared.runtime.postgres.supervisor import free_port
from tests.benchmarks import yard_sqlite


class Paper(BaseModel):
    model_config = ConfigDict(extra="forbid")

    kind: Annotated[str, Field(min_length=1, max_length=64)]
    id: Annotated[str, Field(min_length=1, max_length=200)]
    line: Annotated[int, Field(ge=1, le=1_000)] | None = None
    product: Annotated[str, Field(min_length=1, max_length=1_000)] | None = None


class Sale(BaseModel):
    """The body of POST /v1/events, as a FastAPI application would declare it."""

    model_config = ConfigDict(extra="forbid")

    type: Literal["ORDER_DEDUCTION", "WASTE_RECORDED", "PURCHASE_RECEIVED"]
    item_id: Annotated[str, Field(min_length=1, max_length=64)]
    quantity: Annotated[Decimal, Field(gt=0, max_digits=15, decimal_places=3)]
    occurred_at: AwareDatetime | None = None
    reference: Paper | None = None
    reason: Annotated[str, Field(min_length=1, max_length=64)] | None = None
    note: Annotated[str, Field(min_length=1, max_length=1_000)] | None = None


def trivial() -> FastAPI:
    """Validates the body with pydantic and does nothing."""
    app = FastAPI()

    @app.post("/v1/events")
    async def record(sale: Sale) -> dict[str, str]:
        return {"item_id": sale.item_id}

    return app


def commit_each(database: Path) -> FastAPI:
    """Reads the body as fast as ours does, and commits it in a transaction of its own: the event and its projection."""
    app = FastAPI()
    connection = yard_sqlite.create(database)
    decode = msgspec.json.Decoder(_SaleStruct).decode
    columns = len(BRANCH_COLUMNS)
    state = {"sequence": 0}

    @app.post("/v1/events")
    async def record(request: Request) -> Response:
        raw = await request.body()
        sale = decode(raw)
        sequence = state["sequence"] = state["sequence"] + 1
        moment = time.time_ns() // 1_000
        change = -round(sale.quantity * 1_000)
        row: list[Any] = [None] * columns
        row[0], row[1], row[2], row[3], row[4], row[5] = (
            "BEY-01", sequence, (moment << 64 | sequence).to_bytes(16, "big"), sale.type, sale.item_id, change,
        )  # fmt: skip
        row[13], row[14], row[15], row[16] = moment, bytes(32), request.headers.get("idempotency-key"), _LINE + raw
        yard_sqlite.transaction(connection, [tuple(row)])
        return Response(b'{"sequence":%d}' % sequence, 201, media_type="application/json")

    return app


# Made up to the length of a canonical line: the row on disk is as wide as ours.
_LINE = b" " * 360


class _SaleStruct(msgspec.Struct):
    type: str
    item_id: str
    quantity: float
    occurred_at: str | None = None
    reference: dict[str, Any] | None = None


def receiver() -> FastAPI:
    """Takes whatever is posted, and says how much it was."""
    app = FastAPI()
    received = {"messages": 0}

    @app.post("/messages")
    async def take(request: Request) -> Response:
        await request.body()
        received["messages"] += 1
        return Response(status_code=204)

    @app.get("/count")
    async def count() -> Response:
        return Response(str(received["messages"]))

    return app


APPLICATIONS: dict[str, Callable[..., FastAPI]] = {
    "trivial": trivial,
    "commit-each": commit_each,
    "receiver": receiver,
}


def main() -> None:
    name, *arguments = sys.argv[1:]
    app = APPLICATIONS[name](*(Path(each) for each in arguments))
    port = free_port()
    print(f"ready on {port}", flush=True)
    uvicorn.run(
        app, host="127.0.0.1", port=port, loop="uvloop", http="httptools", log_level="warning", access_log=False
    )


if __name__ == "__main__":
    main()
