"""A refused wish for a transfer: its problem names every member that is wrong."""

from __future__ import annotations

from typing import Any, Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.integration.transfer_coordinator.api_world import World
from tests.unit.shared.runtime.http.faulty_bodies import Place, spoilt

GOOD: Final = {
    "source": "A",
    "destination": "B",
    "mode": "immediate",
    "lines": [{"item_id": "milk", "quantity": 1}, {"item_id": "cup", "quantity": 1}],
}
FAULTY: Final[dict[Place, Any]] = {
    ("source",): [" A", 7, ""],
    ("destination",): ["B\u200b", 7],
    ("mode",): ["shipped", "teleported", 1],
    ("transfer_id",): ["a/b", "", 5],
    ("deadline",): ["2099-01-01T00:00:00", "gestern", 5],
    ("lines", 0, "item_id"): [" milk", 5],
    ("lines", 0, "quantity"): [-1, "x", 0, True],
    ("lines", 1, "item_id"): ["cafe\u0301"],
    ("lines", 1, "quantity"): ["1.2345", {"n": 1}],
}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(data=st.data())
def test_a_problem_names_every_faulty_member(world: World, data: Any) -> None:
    body, wrong = data.draw(spoilt(GOOD, FAULTY, {}))
    answer = world.call("POST", "/v1/transfers", body)
    assert answer.status_code == 422, answer.text
    errors = answer.json()["errors"]
    assert {each["field"] for each in errors} == wrong, (body, errors)
    assert len(errors) == len(wrong)
    assert errors[0]["message"] in answer.json()["detail"]


def test_a_quantity_is_named_beside_missing_fields(world: World) -> None:
    answer = world.call("POST", "/v1/transfers", {"lines": [{"item_id": "milk", "quantity": -1}]})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid-request")
    messages = [(each["field"], each["message"]) for each in answer.json()["errors"]]
    for name in ("source", "destination", "mode"):
        assert ("body", f"Object missing required field `{name}`") in messages
    assert "lines[0].quantity" in dict(messages)


@pytest.mark.parametrize("mode", ["shipped", "teleported"])
def test_the_allowed_modes_are_those_that_are_offered(world: World, mode: str) -> None:
    errors = world.call("POST", "/v1/transfers", GOOD | {"mode": mode}).json()["errors"]
    assert [(each["field"], each["allowed"]) for each in errors] == [("mode", ["immediate"])]
    schema = world.call("GET", "/openapi.json").json()["paths"]["/v1/transfers"]["post"]["requestBody"]
    assert schema["content"]["application/json"]["schema"]["properties"]["mode"]["enum"] == ["immediate"]


def test_members_that_do_not_go_together(world: World) -> None:
    lines = [{"item_id": "milk", "quantity": 10**9}] * 2
    answer = world.call("POST", "/v1/transfers", GOOD | {"destination": "A", "lines": lines, "deadline": "gestern"})
    assert (answer.status_code, answer.json()["code"]) == (422, "same-location")
    assert {each["field"] for each in answer.json()["errors"]} == {"destination", "lines[1].quantity", "deadline"}
