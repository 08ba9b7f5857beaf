"""Who may call what: every route of head office for every role."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi.routing import APIRoute

from tests.integration.head_office.conftest import WHO, Api

READERS = {
    *("admin", "manager", "purchasing", "staff", "viewer", "integration", "manager of BEY-01", "viewer of BEY-01"),
}
REPORTED = READERS - {"staff", "integration"}
OF_BEY_01 = {"manager of BEY-01", "viewer of BEY-01"}
BRANCHES = {"branch", "branch 2", "warehouse"}
COORDINATOR = {"coordinator", "admin"}
GROUP_MANAGERS = {"admin", "manager"}
PURCHASERS = GROUP_MANAGERS | {"purchasing"}
MESSAGE_READERS = GROUP_MANAGERS | {"manager of BEY-01", "purchasing", "integration"}
LOCATION: dict[str, Any] = {"location_id": "NEW", "name": "New", "timezone": "UTC"}
ORDER_OF_BEY_01: dict[str, Any] = {
    "location_id": "BEY-01", "supplier_id": "farm", "lines": [{"item_id": "milk", "quantity": 1}],
}  # fmt: skip

# (method, path, body) and whose key gets past the door; what then comes of it is for other tests.
TABLE: list[tuple[str, str, Any, set[str]]] = [
    ("POST", "/v1/sync/hello", {}, BRANCHES),
    ("POST", "/v1/sync/events", b"x", BRANCHES),
    ("GET", "/v1/sync/catalogue", None, BRANCHES | COORDINATOR),
    ("GET", "/v1/sync/instructions", None, BRANCHES),
    ("GET", "/v1/sync/log?location_id=BEY-01", None, {"branch", "admin"}),
    ("PUT", "/v1/instructions/t/out", {}, COORDINATOR),
    ("POST", "/v1/instructions", {}, COORDINATOR),
    ("POST", "/v1/transfer-facts", {}, COORDINATOR),
    ("GET", "/v1/transfer-facts/changes", None, COORDINATOR),
    ("GET", "/v1/items", None, READERS | {"coordinator"}),
    ("GET", "/v1/items/milk", None, READERS | {"coordinator"}),
    ("PUT", "/v1/items/milk", {}, GROUP_MANAGERS),
    ("GET", "/v1/items-waiting", None, GROUP_MANAGERS),
    ("POST", "/v1/items-waiting/BEY-01/milk/accept", None, GROUP_MANAGERS),
    ("PUT", "/v1/items-waiting/BEY-01/milk/map", {}, GROUP_MANAGERS),
    ("GET", "/v1/items-mapped", None, GROUP_MANAGERS),
    ("GET", "/v1/reorder-levels/BEY-01", None, REPORTED),
    ("GET", "/v1/reorder-levels/BEY-02", None, REPORTED - OF_BEY_01),
    ("GET", "/v1/reorder-levels/BEY-01/milk", None, REPORTED),
    ("GET", "/v1/reorder-levels/BEY-02/milk", None, REPORTED - OF_BEY_01),
    ("PUT", "/v1/reorder-levels/BEY-01/milk", {}, PURCHASERS | {"manager of BEY-01"}),
    ("PUT", "/v1/reorder-levels/BEY-02/milk", {}, PURCHASERS),
    ("DELETE", "/v1/reorder-levels/BEY-01/milk", None, PURCHASERS | {"manager of BEY-01"}),
    ("DELETE", "/v1/reorder-levels/BEY-02/milk", None, PURCHASERS),
    ("GET", "/v1/suppliers", None, REPORTED),
    ("GET", "/v1/suppliers/farm", None, REPORTED),
    ("PUT", "/v1/suppliers/farm", {}, PURCHASERS),
    ("DELETE", "/v1/suppliers/farm", None, PURCHASERS),
    ("GET", "/v1/purchase-orders", None, REPORTED),
    ("GET", "/v1/purchase-orders?location_id=BEY-02", None, REPORTED - OF_BEY_01),
    ("GET", "/v1/purchase-orders/PO-1", None, REPORTED),
    ("POST", "/v1/purchase-orders", ORDER_OF_BEY_01, PURCHASERS | {"manager of BEY-01"}),
    ("POST", "/v1/purchase-orders", ORDER_OF_BEY_01 | {"location_id": "BEY-02"}, PURCHASERS),
    ("PATCH", "/v1/purchase-orders/PO-1", {}, PURCHASERS | {"manager of BEY-01"}),
    ("POST", "/v1/purchase-orders/PO-1/close", {}, PURCHASERS | {"manager of BEY-01"}),
    ("GET", "/v1/locations", None, READERS | {"coordinator"}),
    ("POST", "/v1/locations", LOCATION, {"admin"}),
    ("PUT", "/v1/locations/BEY-01", {}, {"admin"}),
    ("GET", "/v1/keys", None, {"admin"}),
    ("POST", "/v1/keys", {"role": "staff"}, {"admin"}),
    ("POST", "/v1/keys/none/rotate", None, {"admin"}),
    ("POST", "/v1/keys/none/revoke", None, {"admin"}),
    ("GET", "/v1/stock", None, READERS),
    ("GET", "/v1/stock?location_id=BEY-02", None, READERS - OF_BEY_01),
    ("GET", "/v1/stock/milk", None, READERS),
    ("GET", "/v1/stock/milk/explain?location_id=BEY-02", None, READERS - OF_BEY_01),
    ("GET", "/v1/events", None, READERS),
    ("GET", "/v1/reports/in-transit", None, REPORTED),
    ("GET", "/v1/reports/variance?location_id=BEY-01", None, REPORTED),
    ("GET", "/v1/reports/variance?by=item&format=csv", None, REPORTED),
    ("GET", "/v1/reports/usage", None, REPORTED),
    ("GET", "/v1/reports/usage?location_id=BEY-02", None, REPORTED - OF_BEY_01),
    ("GET", "/v1/reports/unmet-demand", None, REPORTED),
    ("GET", "/v1/reports/unmet-demand?location_id=BEY-02&by=item", None, REPORTED - OF_BEY_01),
    ("GET", "/v1/reports/purchasing", None, REPORTED),
    ("GET", "/v1/reports/purchasing/mornings", None, REPORTED),
    ("GET", "/v1/reports/purchasing?location_id=BEY-01", None, REPORTED),
    ("GET", "/v1/reports/purchasing/mornings", None, REPORTED),
    ("GET", "/v1/reports/purchasing/mornings?location_id=BEY-02", None, REPORTED - OF_BEY_01),
    ("GET", "/v1/messages?location_id=BEY-01", None, MESSAGE_READERS),
    ("GET", "/v1/messages?location_id=BEY-02", None, MESSAGE_READERS - OF_BEY_01),
    ("GET", "/v1/messages/stream?location_id=BEY-01&after=nonsense", None, MESSAGE_READERS),
    ("GET", "/v1/messages/schemas", None, MESSAGE_READERS),
    ("GET", "/v1/quarantine", None, REPORTED),
    ("GET", "/v1/reservations", None, READERS),
    ("GET", "/v1/reservations?location_id=BEY-02", None, READERS - OF_BEY_01),
    ("GET", "/v1/reservations/r-0", None, READERS),
    ("POST", "/v1/availability", {}, READERS),
    ("POST", "/v1/quarantine/BEY-01/retry", None, {"admin"}),
]


@pytest.mark.parametrize("who", [*WHO, "nobody", "a forger"])
def test_every_route_for(who: str, api: Api) -> None:
    api.keys["a forger"] = "lk_0123456789ab_" + "A" * 43
    for method, path, body, allowed in TABLE:
        answer = api.client.request(method, path) if who == "nobody" else api.call(who, method, path, body)
        # By and by nothing is looked up any more for the address that a forger comes from.
        strangers = {"nobody": {401}, "a forger": {401, 429}}
        expected = strangers.get(who, set() if who in allowed else {403})
        if expected:
            assert answer.status_code in expected, (method, path, answer.text)
            assert answer.json()["hint"]
        else:
            assert answer.status_code not in {401, 403, 429, 500}, (method, path, answer.text)


def test_the_table_has_every_route(api: Api) -> None:
    known = {(method, path.partition("?")[0]) for method, path, _, _ in TABLE}
    for route in api.client.app.routes:  # type: ignore[attr-defined]
        if not isinstance(route, APIRoute) or not route.path.startswith("/v1/"):
            continue
        for method in route.methods:  # type: ignore[union-attr]
            matches = [path for known_method, path in known if known_method == method and route.path_regex.match(path)]
            assert matches, f"{method} {route.path} is not in the table"


def test_a_revoked_key_opens_nothing_any_more(api: Api) -> None:
    assert api.call("viewer", "GET", "/v1/items").status_code == 200
    key_id = api.keys["viewer"].split("_")[1]
    revoked = api.call("admin", "POST", f"/v1/keys/{key_id}/revoke").json()
    assert revoked["key_id"] == key_id
    assert revoked["revoked_at"]
    assert api.call("viewer", "GET", "/v1/items").status_code == 401
    assert api.call("admin", "POST", f"/v1/keys/{key_id}/revoke").json() == revoked


def test_the_last_admin_key_cannot_be_revoked(api: Api) -> None:
    key_id = api.keys["admin"].split("_")[1]
    assert api.call("admin", "POST", f"/v1/keys/{key_id}/revoke").json()["code"] == "last-admin-key"
    other = api.call("admin", "POST", "/v1/keys", {"role": "admin"}).json()
    api.keys["other"] = other["key"]
    assert api.call("other", "POST", f"/v1/keys/{key_id}/revoke").status_code == 200
    assert api.call("admin", "GET", "/v1/keys").status_code == 401
