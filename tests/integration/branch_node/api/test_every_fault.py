"""A refused body: its problem names every member that is wrong, by the fast path and by the router."""

from __future__ import annotations

from copy import deepcopy
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from branch_node.api.hot_route_middleware import HotRouteMiddleware
from shared.events import BY_HAND
from shared.runtime.http.body_faults import MOST_COUNTED
from tests.support.branch_api import Caller
from tests.unit.shared.runtime.http.faulty_bodies import Place, spoilt

LINE: Final = {"item_id": "milk", "quantity": 1}
LINE_FAULTS: Final[dict[Place, Any]] = {
    ("item_id",): [" milk", 5, "", "x" * 65],
    ("quantity",): ["x", -3, "1.2345", True],
    ("unit",): ["l ", 7],
    ("note",): ["a\u202eb", 5, " "],
    ("lot",): ["a\u200bb", ""],
    ("area",): [" bar", 1],
    ("expires_on",): ["31.01.2026", "2026-02-30", 5],
    ("cost",): [{"amount": "1e", "currency": "USD"}],
}
EVENT: Final = {"type": "WASTE_RECORDED", **LINE, "reason": "spoiled"}
EVENT_FAULTS: Final[dict[Place, Any]] = LINE_FAULTS | {
    ("type",): ["WASTE", "EPOCH_OPENED", 1],
    ("quantity",): ["x", "1.2345", True],  # which sign it may have is said by a type that is known
    ("occurred_at",): ["gestern", 5, "2026-01-01T10:00:00", "1999-12-31T23:59:59Z"],
    ("reference",): [5],
    ("reason",): [" x", 4],
    ("source",): ["a:b", 1],
    ("actor",): ["a ", 3, "x" * 32],
}
# path -> a good body, its faulty values by place, and what the problem calls a place where it is not the place itself
BODIES: Final[dict[str, tuple[Any, dict[Place, Any], dict[Place, str]]]] = {
    "/v1/events": (EVENT, EVENT_FAULTS, {("cost",): "cost.amount"}),
    "/v1/orders": (
        {"order_id": "1", "lines": [LINE, LINE, LINE]},
        {
            ("order_id",): [" 1", 5, ""],
            ("revision",): [0, "x"],
            ("occurred_at",): ["gestern", 5],
            ("source",): ["a:b"],
            ("actor",): ["a "],
        }
        | {("lines", place, *name): bad for place in (0, 2) for name, bad in LINE_FAULTS.items()}
        | {("lines", 1, "product"): ["a\u202eb", 5]},
        {("lines", place, "cost"): f"lines[{place}].cost.amount" for place in (0, 2)},
    ),
    "/v1/counts": (
        {"count_id": "1", "lines": [{"item_id": "milk", "counted": 1}, {"item_id": "cup", "counted": 1}]},
        {("count_id",): [" 1", 5], ("reason",): ["x "], ("actor",): ["a "], ("open",): ["x"]}
        | {
            ("lines", place, name): bad
            for place in (0, 1)
            for name, bad in {
                "item_id": [" milk", 5],
                "area": [" bar", 5],
                "counted": ["x", -1],
                "unit": ["l ", 5],
                "occurred_at": ["gestern", 5],
                "seen_at": ["gestern"],
                "note": [" ", 5],
            }.items()
        },
        {},
    ),
    "/v1/events/nothing/void": (
        {"reason": "mistake"},
        {("reason",): [" x", 5], ("whole",): ["x"], ("note",): [" "], ("actor",): ["a ", 5]},
        {},
    ),
    "/v1/events/nothing/review": ({}, {("comment",): [" ", 5], ("actor",): ["a ", 5]}, {}),
    "/api/inventory/adjust": (
        {"sku": "milk", "change": -1, "reason": "SALE"},
        {
            ("sku",): [" milk", 5],
            ("change",): ["x", "1.2345", 0, True],
            ("reason",): ["a\nb", 5, ""],
            ("note",): [" ", 5],
        },
        {},
    ),
    "/v1/orders/1/cancel": (
        {},
        {("reason",): ["x ", 5], ("note",): [" ", 5], ("source",): ["a:b"], ("actor",): ["a "]},
        {},
    ),
    "/v1/items/new": (
        {"name": "New", "unit": "kg"},
        {("name",): ["a\nb", 5], ("unit",): ["l ", 5], ("category",): [" ", 5], ("barcode",): [" 1", 5]},
        {},
    ),
}


def method_of(path: str) -> str:
    return "PUT" if path == "/v1/items/new" else "POST"


async def pass_on(self: HotRouteMiddleware, scope: Any, receive: Any, send: Any) -> None:
    await self.app(scope, receive, send)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(data=st.data())
@pytest.mark.parametrize("path", list(BODIES))
def test_a_problem_names_every_faulty_member(caller: Caller, path: str, data: Any) -> None:
    good, faulty, names = BODIES[path]
    body, wrong = data.draw(spoilt(good, faulty, names))
    answer = caller.send(method_of(path), path, body)
    assert answer.status_code == 422, answer.text
    problem = answer.json()
    assert {each["field"] for each in problem["errors"]} == wrong, (body, problem)
    assert len(problem["errors"]) == len(wrong)
    assert problem["errors"][0]["message"] in problem["detail"]
    assert (f"{len(wrong) - 1} more" in problem["detail"]) == (len(wrong) > 1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(HotRouteMiddleware, "__call__", pass_on)
        assert caller.send(method_of(path), path, body).json() == problem
    if path == "/v1/events":
        batch = caller.post("/v1/events/batch", {"events": [EVENT, body]}).json()
        if "items" in batch:
            assert batch["items"][1]["problem"] == problem
        else:
            assert {each["field"] for each in batch["errors"]} == {f"events[1].{name}" for name in wrong}


def errors_of(answer: Any, code: str) -> dict[str, dict[str, Any]]:
    assert (answer.status_code, answer.json()["code"]) == (422, code), answer.text
    return {each["field"]: each for each in answer.json()["errors"]}


def test_an_event_of_which_all_is_wrong(caller: Caller) -> None:
    body = {"type": "WASTE", "item_id": 5, "quantity": "x", "occurred_at": "gestern", "foo": 1}
    errors = errors_of(caller.post("/v1/events", body), "invalid-request")
    assert errors.keys() == {"type", "item_id", "quantity", "occurred_at", "body"}
    assert "foo" in errors["body"]["message"]
    body = {"type": "WASTE_RECORDED", "item_id": "nosuch", "quantity": -3, "occurred_at": "gestern"}
    errors = errors_of(caller.post("/v1/events", body), "invalid-quantity")
    assert errors.keys() == {"quantity", "occurred_at", "reason"}
    answer = caller.post("/v1/events/batch", {"events": [body | {"key": "larder:x"}, EVENT | {"key": " "}]}).json()
    first, second = (each["problem"] for each in answer["items"])
    assert (first["code"], second["code"]) == ("invalid-idempotency-key", "invalid-idempotency-key")
    assert first["errors"][0]["field"] == "key"
    assert {each["field"] for each in first["errors"]} == {"key", "quantity", "occurred_at", "reason"}
    assert [each["field"] for each in second["errors"]] == ["key"]
    body |= {"reason": "spoiled", "quantity": 3}
    assert errors_of(caller.post("/v1/events", body), "invalid-time").keys() == {"occurred_at"}


@pytest.mark.parametrize(
    ("body", "code", "fields"),
    [
        ({"type": "STOCKTAKE", "quantity": 1, "counted": 1, "transfer_id": "t"}, "invalid-event",
         {"quantity", "transfer_id"}),
        ({"type": "ADJUSTMENT", "quantity": 0, "used": [LINE]}, "invalid-quantity", {"quantity", "reason", "used"}),
        ({"type": "WASTE_RECORDED", "counted": 1, "used": [{"item_id": "x", "quantity": 0}]}, "invalid-event",
         {"counted", "reason", "used[0].quantity"}),
        ({"type": "PURCHASE_RECEIVED", "reason": " x"}, "invalid-quantity", {"quantity", "reason"}),
        ({"type": "PURCHASE_RECEIVED", "entered": {"quantity": "x", "unit": " ", "factor": 0}}, "invalid-request",
         {"entered.quantity", "entered.unit", "entered.factor"}),
        ({"type": "PURCHASE_RECEIVED", "quantity": 2, "entered": {"quantity": 1, "unit": "box", "factor": 1},
          "note": " "}, "invalid-quantity", {"quantity", "note"}),
        ({"type": "EVENT_VOIDED", "quantity": "x"}, "type-not-by-hand", {"type", "quantity"}),
    ],
)  # fmt: skip
def test_members_that_do_not_go_together(caller: Caller, body: Any, code: str, fields: set[str]) -> None:
    answer = caller.post("/v1/events", {"item_id": "milk"} | deepcopy(body))
    assert errors_of(answer, code).keys() == fields


@pytest.mark.parametrize("kind", ["WASTE", "EPOCH_OPENED", "EVENT_VOIDED"])
def test_the_allowed_types_are_those_that_the_route_takes(caller: Caller, kind: str) -> None:
    answer = caller.post("/v1/events", {"type": kind, "item_id": "milk", "quantity": 1})
    allowed = answer.json()["errors"][0]["allowed"]
    assert set(allowed) == set(BY_HAND)
    schema = caller.get("/openapi.json").json()["paths"]["/v1/events"]["post"]["requestBody"]
    assert schema["content"]["application/json"]["schema"]["properties"]["type"]["enum"] == allowed


def test_a_problem_says_how_many_faults_it_leaves_out(caller: Caller) -> None:
    wrong = {"item_id": " milk", "quantity": "x"}
    for path, body in (
        ("/v1/orders", {"order_id": "1", "lines": [wrong] * 100}),
        ("/v1/orders", {"order_id": "1", "lines": [wrong | {"quantity": -3}] * 100}),
        ("/v1/counts", {"count_id": "1", "lines": [{"item_id": " milk", "counted": -1}] * 100}),
    ):
        problem = caller.post(path, body).json()
        assert (len(problem["errors"]), problem["errors_omitted"]) == (50, 150), path
        assert "199 more" in problem["detail"]
    few = caller.post("/v1/orders", {"order_id": "1", "lines": [wrong] * 25}).json()
    assert (len(few["errors"]), "errors_omitted" in few) == (50, False)
    unknown = {f"p{number}": "1" for number in range(60)}
    problem = caller.get("/v1/items", **unknown).json()
    assert (len(problem["errors"]), problem["errors_omitted"]) == (50, 10)
    properties = caller.get("/openapi.json").json()["components"]["schemas"]["Problem"]["properties"]
    assert {"errors", "errors_omitted"} <= properties.keys()


def test_the_faults_of_an_enormous_body_are_counted_to_a_bound(caller: Caller) -> None:
    problem = caller.post("/v1/orders", {"order_id": "1", "lines": [0] * 30_000}).json()
    assert (len(problem["errors"]), problem["errors_omitted"]) == (50, MOST_COUNTED - 50)


def test_every_line_of_a_count_that_stands_twice_is_named_with_the_other_faults(caller: Caller) -> None:
    line = {"item_id": "milk", "area": "bar", "counted": 1}
    body = {"count_id": "1", "lines": [line, line | {"area": "cellar"}, line, {"item_id": "cup", "counted": 1}, line]}
    twice = {"lines[2]", "lines[4]"}
    assert errors_of(caller.post("/v1/counts", body), "invalid-request").keys() == twice
    answer = caller.post("/v1/counts", body | {"reason": " x"})
    assert errors_of(answer, "invalid-request").keys() == twice | {"reason"}
    assert "2 more" in answer.json()["detail"]
