"""The reason of a release over the routes of a node: any code but the node's own, which would change what it means."""

from __future__ import annotations

import pytest

from shared.reservations import RESTATED
from tests.support.branch_api import Caller


@pytest.mark.parametrize(("reason", "status"), [("changed", 200), (RESTATED, 422)])
def test_a_release_does_not_pass_for_a_restatement(any_caller: Caller, reason: str, status: int) -> None:
    delivered = any_caller.post("/v1/events", {"type": "PURCHASE_RECEIVED", "item_id": "milk", "quantity": 10})
    assert delivered.status_code == 201
    body = {"order_id": "4711", "lines": [{"item_id": "milk", "quantity": 4}]}
    made = any_caller.post("/v1/reservations", body).json()
    path = f"/v1/reservations/{made['reservation_id']}"

    answer = any_caller.post(f"{path}/release", {"reason": reason})

    assert answer.status_code == status, answer.text
    found = any_caller.get(path).json()
    assert found["state"] == ("RELEASED" if status == 200 else "ACTIVE")
    assert [(line["quantity"], line["released"]) for line in found["lines"]] == [(4, 4 if status == 200 else 0)]
    if status == 422:
        problem = answer.json()
        assert (problem["code"], problem["errors"][0]["field"]) == ("invalid-request", "reason")
