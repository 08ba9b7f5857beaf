"""What a body records decides which scope its key needs: events of each type for each role, by hand and imported."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from shared.events import BY_HAND, EventType
from shared.runtime.http.scopes import SCOPES_OF, Role, Scope
from tests.integration.branch_node.imports.test_http_recorder import FILE
from tests.support.branch_api import Caller

TYPES = sorted(BY_HAND)
RECORDING = {Scope.RECORD, Scope.RESTOCK, Scope.CORRECT}


def body(event_type: EventType) -> dict[str, Any]:
    amount = {"counted": 3} if event_type == EventType.STOCKTAKE else {"quantity": 1}
    return {"type": event_type.value, "item_id": "milk", **amount, "reason": "x"}


def needed(event_type: EventType) -> Scope:
    """As the contract has it; the product's own table is what is tested."""
    own = {EventType.PURCHASE_RECEIVED: Scope.RESTOCK, EventType.ADJUSTMENT: Scope.CORRECT}
    return own.get(event_type, Scope.RECORD)


def refuses(answer: httpx.Response | dict[str, Any], scopes: set[Scope]) -> None:
    told = answer if isinstance(answer, dict) else answer.json()
    assert (told["status"], told["code"], told["recorded"]) == (403, "forbidden", "no")
    assert set(told["scopes"]) == scopes
    assert told["key_id"] in told["detail"]


@pytest.mark.parametrize("role", Role)
def test_one_event_of_each_type(caller: Caller, role: Role) -> None:
    for event_type in TYPES:
        before = caller.node.writer.head
        answer = caller.post("/v1/events", body(event_type), role=role.value)
        if needed(event_type) in SCOPES_OF[role]:
            assert answer.status_code == 201, answer.text
            continue
        may_some = not SCOPES_OF[role].isdisjoint(RECORDING)
        refuses(answer, {needed(event_type)} if may_some else RECORDING)
        assert caller.node.writer.head == before


@pytest.mark.parametrize("role", [Role.MANAGER, Role.PURCHASING, Role.STAFF])
def test_a_batch_of_each_type_records_what_it_may(caller: Caller, role: Role) -> None:
    events = [body(event_type) | {"key": event_type.value} for event_type in TYPES]
    answers = caller.post("/v1/events/batch", {"events": events}, role=role.value).json()["items"]
    for event_type, answer in zip(TYPES, answers, strict=True):
        if needed(event_type) in SCOPES_OF[role]:
            assert answer["status"] == 201
        else:
            assert answer["status"] == 403
            refuses(answer["problem"], {needed(event_type)})
    assert caller.node.writer.head.sequence == sum(answer["status"] == 201 for answer in answers)


@pytest.mark.parametrize("role", [Role.MANAGER, Role.PURCHASING, Role.STAFF])
def test_rows_of_an_import(caller: Caller, role: Role) -> None:
    types = [each for each in TYPES if each != EventType.STOCKTAKE]
    at = {"occurred_at": "2025-12-05T10:00:00Z"}
    events = [body(each) | at | {"key": f"import/till-7//id:{each}"} for each in types]
    count = {"key": "import/till-7//count:1", **at, "lines": [{"item_id": "milk", "counted": 1}]}
    begun = caller.post("/v1/imports", FILE, role=role.value).json()
    address = f"/v1/imports/{begun['record']['import_id']}/rows"
    outcomes = caller.post(address, {"events": events, "counts": [count]}, role=role.value).json()["outcomes"]
    for event_type, outcome in zip([*types, EventType.STOCKTAKE], outcomes, strict=True):
        if needed(event_type) in SCOPES_OF[role]:
            assert outcome["new"]
        else:
            refuses(outcome["problem"], {needed(event_type)})


def test_an_import_defines_items_for_who_may_define_them(caller: Caller) -> None:
    at = {"occurred_at": "2025-12-05T10:00:00Z"}
    rows: dict[str, Any] = {
        "items": [{"item_id": item, "name": item, "unit": "l"} for item in ("tea", "milk")],
        "events": [
            {"key": f"import/till-7//id:{item}", "type": "ORDER_DEDUCTION", "item_id": item, "quantity": 1, **at}
            for item in ("tea", "milk")
        ],
        "counts": [{"key": "import/till-7//count:1", **at, "lines": [{"item_id": "tea", "counted": 1}]}],
    }
    begun = caller.post("/v1/imports", FILE, role="staff").json()
    address = f"/v1/imports/{begun['record']['import_id']}/rows"
    tea, milk, count = caller.post(address, rows, role="staff").json()["outcomes"]
    refuses(tea["problem"], {Scope.CORRECT})
    refuses(count["problem"], {Scope.CORRECT})
    assert milk["new"]
    assert "tea" not in caller.node.writer.items
    rows["items"] = rows["items"][:1]  # milk is head office's
    outcomes = caller.post(address, rows, role="manager").json()["outcomes"]
    assert [each.get("new", False) for each in outcomes] == [True, False, True]
