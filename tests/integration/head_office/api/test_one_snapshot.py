"""Each answer comes from one snapshot: the race is forced, a batch arrives behind every statement of the answer."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import Engine

from tests.integration.head_office.conftest import Api
from tests.support.branch_log import BranchLog
from tests.support.events import NOON
from tests.support.html import form_fields, parse, rows
from tests.support.statements import behind_every_statement

PLACE = "BEY-01"


class Arrivals:
    """Batches of three events: one more milk, a count of salt, and a transfer of rice that leaves."""

    def __init__(self, office: Engine) -> None:
        self._office = office
        self._log = BranchLog(PLACE)
        self.batches = 0
        self.arrive()

    def arrive(self) -> None:
        number = self.batches = self.batches + 1
        log = self._log
        log.record("PURCHASE_RECEIVED", item_id="milk", unit="l", quantity=1_000, occurred_at=NOON + number)
        log.record("STOCKTAKE", item_id="salt", unit="kg", counted=number, expected=0, occurred_at=NOON + number)
        log.record(
            "TRANSFER_OUT",
            item_id="rice",
            unit="kg",
            quantity=1_000,
            transfer_id=f"t-{number}",
            transfer_line=1,
            occurred_at=NOON + number,
        )
        log.ship_now(self._office)


@pytest.fixture
def arrivals(office: Engine) -> Arrivals:
    return Arrivals(office)


def stock_of_the_group(body: Any) -> set[Any]:
    figures = {row["item_id"]: row["on_hand"] for row in body["items"]}
    sequences = {row["freshness"]["sequence"] for row in body["items"]} | {body["cut"][PLACE]}
    return {figures["milk"], -figures["rice"], figures["salt"] * 1_000} | {each / 3 for each in sequences}


def stock_of_an_item(body: Any) -> set[Any]:
    (row,), (total,) = body["items"], body["totals"]
    return {row["on_hand"], total["on_hand"], row["freshness"]["sequence"] / 3, body["cut"][PLACE] / 3}


def explanation(body: Any) -> set[Any]:
    return {body["on_hand"], len(body["steps"]), body["known_through"] / 3}


def variance(body: Any) -> set[Any]:
    return {len(body["items"]), body["cut"][PLACE] / 3}


def usage(body: Any) -> set[Any]:
    return {*(row["total"] for row in body["items"]), body["cut"][PLACE] / 3}


def in_transit(body: Any) -> set[Any]:
    return {len(body["items"]), body["cut"][PLACE] / 3}


ANSWERS: dict[str, Callable[[Any], set[Any]]] = {
    "/v1/stock": stock_of_the_group,
    "/v1/stock/milk": stock_of_an_item,
    f"/v1/stock/milk/explain?location_id={PLACE}": explanation,
    "/v1/reports/variance?limit=1000": variance,
    "/v1/reports/usage": usage,
    "/v1/reports/usage?by=product&from=2026-01-01&to=2026-01-02": usage,
    "/v1/reports/in-transit": in_transit,
}
MOMENTS = {"now": "", "as of": "as_of=2100-01-01T00:00:00Z", "known at": "known_at=2100-01-01T00:00:00Z"}

CASES = [
    (path, moment)
    for path in ANSWERS
    for moment in MOMENTS
    if moment != "as of" or not path.startswith(("/v1/reports/variance", "/v1/reports/usage"))
]


@pytest.mark.parametrize(("path", "moment"), CASES)
def test_an_answer_is_of_one_snapshot(api: Api, arrivals: Arrivals, path: str, moment: str) -> None:
    address = path + ("&" if "?" in path else "?") + MOMENTS[moment] if MOMENTS[moment] else path
    before = arrivals.batches
    with behind_every_statement(arrivals.arrive):
        answer = api.call("viewer", "GET", address)
    assert answer.status_code == 200, answer.text
    assert arrivals.batches > before + 1
    figures = ANSWERS[path](json.loads(answer.content, parse_float=Decimal))
    assert len(figures) == 1, figures


@pytest.mark.parametrize("query", ["", "?known_at=2100-01-01T00:00"])
def test_a_page_is_of_one_snapshot(api: Api, arrivals: Arrivals, query: str) -> None:
    sign_in = parse(api.client.get("/").text).first("form")
    api.client.post("/sign-in", data={**form_fields(sign_in), "key": api.keys["viewer of BEY-01"]})
    with behind_every_statement(arrivals.arrive):
        page = api.client.get("/stock" + query)
    assert page.status_code == 200, page.text
    shown = {row[0].split()[0]: row for row in rows(parse(page.text).first("table"))}
    through = re.search(r"up to event (\d+)", page.text)
    assert through is not None
    assert int(through[1]) == 3 * int(shown["milk"][2].split(",")[0])
