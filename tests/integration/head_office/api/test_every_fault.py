"""A refused body of the catalogue, the locations or the keys: its problem names every member that is wrong."""

from __future__ import annotations

from typing import Any, Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.integration.head_office.conftest import Api
from tests.unit.shared.runtime.http.faulty_bodies import Place, spoilt

NAMES: Final = ["a\nb", 5, " "]
LOCATION: Final[dict[Place, Any]] = {
    ("name",): NAMES,
    ("timezone",): ["Asia/Nowhere", 5, ""],
    ("day_start",): [1_440, "x"],
    ("report_time",): [360, "6:00", "24:00", "06:00:00", "06:0\u0661", "06:00\n", ""],
}
# method and path -> a good body and its faulty values by place
BODIES: Final[dict[tuple[str, str], tuple[Any, dict[Place, Any]]]] = {
    ("PUT", "/v1/items/new"): (
        {"name": "New", "unit": "kg"},
        {
            ("name",): NAMES,
            ("unit",): [" l", 5, ""],
            ("category",): NAMES,
            ("barcode",): ["1 ", 5],
            ("strict_at",): [5],
        },
    ),
    ("POST", "/v1/locations"): (
        {"location_id": "NEW", "name": "New", "timezone": "Asia/Beirut"},
        {("location_id",): [" A", 5, ""]} | LOCATION,
    ),
    ("PUT", "/v1/locations/BEY-01"): ({"name": "New", "timezone": "Asia/Beirut"}, LOCATION),
    ("PUT", "/v1/reorder-levels/BEY-01/milk"): (
        {"reorder_point": 1, "order_up_to": 2, "supplier_id": "farm", "pack_size": 1, "lead_days": 2},
        {
            ("reorder_point",): ["x", "1.2345", -1],
            ("order_up_to",): ["x", True, None],
            ("supplier_id",): [" a", 5, ""],
            ("pack_size",): [0, -1],
            ("lead_days",): [-1, 367, "2"],
        },
    ),
    ("PUT", "/v1/suppliers/farm"): (
        {"name": "Farm", "email": "orders@farm.example", "lead_days": 2},
        {("name",): NAMES, ("email",): ["nobody", "a@b c", 5, ""], ("lead_days",): [-1, 367, "2", True]},
    ),
    ("POST", "/v1/purchase-orders"): (
        {
            "purchase_order_id": "PO-7",
            "location_id": "BEY-01",
            "supplier_id": "farm",
            "due": "2026-12-01",
            "note": "x",
            "lines": [{"item_id": "milk", "quantity": 1, "cost": {"amount": "2.50", "currency": "USD"}}],
        },
        {
            ("purchase_order_id",): [" a", 5, ""],
            ("location_id",): [5, ""],
            ("supplier_id",): [" a", None],
            ("due",): ["2026-02-30", "20261201", "1999-01-01", 5],
            ("note",): [5, " "],
            ("lines", 0, "item_id"): [5, ""],
            ("lines", 0, "quantity"): [0, -1, "1.2345", True, "x", None],
            ("lines", 0, "cost", "amount"): [-1, "1e3", True],
            ("lines", 0, "cost", "currency"): ["usd", "EURO", 5],
        },
    ),
    ("PATCH", "/v1/purchase-orders/PO-7"): (
        {"due": "2026-12-01", "note": "x"},
        {("due",): ["2026-02-30", 5], ("note",): [5, "\u0007"]},
    ),
    ("POST", "/v1/purchase-orders/PO-7/close"): (
        {"lines": [1], "reason": "x"},
        {("lines", 0): [0, 201, "1", True], ("reason",): [5, ""]},
    ),
    ("POST", "/v1/availability"): (
        {"lines": [{"item_id": "milk", "quantity": 1}], "prefer": ["BEY-01"]},
        {("lines", 0, "item_id"): [5, ""], ("lines", 0, "quantity"): [0, "1.2345", True], ("prefer",): [5]},
    ),
    ("POST", "/v1/keys"): ({"role": "viewer"}, {("role",): ["king", 5], ("location_id",): [5, ""], ("label",): NAMES}),
}


LEVEL = ("PUT", "/v1/reorder-levels/BEY-01/milk")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40, deadline=None)
@given(data=st.data())
@pytest.mark.parametrize("route", list(BODIES), ids="".join)
def test_a_problem_names_every_faulty_member(api: Api, route: tuple[str, str], data: Any) -> None:
    good, faulty = BODIES[route]
    body, wrong = data.draw(spoilt(good, faulty, {}))
    answer = api.call("admin", *route, body)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid-request"), answer.text
    errors = answer.json()["errors"]
    assert {each["field"] for each in errors} == wrong, (body, errors)
    assert len(errors) == len(wrong)
    assert errors[0]["message"] in answer.json()["detail"]


@pytest.mark.parametrize(
    ("route", "body", "fields"),
    [
        (LEVEL, {"reorder_point": 2, "order_up_to": 1, "x": 1}, {"order_up_to", "body"}),
        (LEVEL, {"reorder_point": 2, "order_up_to": 2}, {"order_up_to"}),
        (LEVEL, {"reorder_point": 2}, {"order_up_to"}),
        (
            LEVEL,
            {"reorder_point": 2, "order_up_to": 3, "order_quantity": 1, "lead_days": -1},
            {"order_up_to", "lead_days"},
        ),
        (LEVEL, {"reorder_point": 0, "order_quantity": 0}, {"order_quantity"}),
        (("POST", "/v1/keys"), {"role": "branch", "label": " "}, {"location_id", "label"}),
        (("POST", "/v1/keys"), {"role": "admin", "location_id": "BEY-01", "label": " "}, {"location_id", "label"}),
        (("PUT", "/v1/items/new"), {"name": "a\nb"}, {"name", "body"}),
    ],
)
def test_members_that_do_not_go_together(api: Api, route: tuple[str, str], body: Any, fields: set[str]) -> None:
    answer = api.call("admin", *route, body)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid-request"), answer.text
    assert {each["field"] for each in answer.json()["errors"]} == fields
