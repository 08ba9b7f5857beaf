"""Suppliers over HTTP: put, read, listed, removed; and what each change is in the catalogue."""

from __future__ import annotations

import pytest
from sqlalchemy import Engine

from head_office.catalogue import catalogue_history
from head_office.catalogue.catalogue_history import CatalogueHead
from shared.purchases.suppliers import Supplier
from tests.integration.head_office.api.purchases.conftest import ORDER, Deliveries, make
from tests.integration.head_office.catalogue.test_catalogue import pull
from tests.integration.head_office.conftest import Api

FARM = {"name": "Farm of the North", "email": "orders@farm.example", "lead_days": 2}


def head(office: Engine) -> CatalogueHead:
    with office.connect() as connection:
        return catalogue_history.read_head(connection)


def test_a_supplier_is_put_read_and_listed(api: Api) -> None:
    put = api.call("purchasing", "PUT", "/v1/suppliers/mill%2F2", FARM)
    assert (put.status_code, put.json()) == (200, {"supplier_id": "mill/2", **FARM})
    assert api.call("viewer", "GET", "/v1/suppliers/mill%2F2").json() == put.json()
    listed = api.call("viewer of BEY-01", "GET", "/v1/suppliers").json()
    assert [each["supplier_id"] for each in listed["items"]] == ["farm", "mill/2"]
    first = api.call("viewer", "GET", "/v1/suppliers?limit=1").json()
    rest = api.call("viewer", "GET", f"/v1/suppliers?after={first['next']}").json()
    assert first["items"] + rest["items"] == listed["items"]
    assert rest["next"] is None
    # What is left out is not there any more.
    assert api.call("admin", "PUT", "/v1/suppliers/mill%2F2", {"name": "Mill"}).json() == {
        "supplier_id": "mill/2",
        "name": "Mill",
    }


def test_each_change_is_one_of_the_catalogue_for_every_branch(api: Api, office: Engine) -> None:
    before = head(office).version
    for body in (FARM, FARM, FARM | {"lead_days": 3}):
        assert api.call("purchasing", "PUT", "/v1/suppliers/mill", body).status_code == 200
    assert head(office).version == before + 2
    assert api.call("purchasing", "DELETE", "/v1/suppliers/mill").status_code == 204
    assert head(office).version == before + 3
    for place in ("BEY-01", "WH-1"):
        told, *_ = pull(office, place)
        changes = [each.supplier for each in told if each.supplier is not None]
        mine = [each.supplier for each in changes if each.supplier_id == "mill"]
        stated = Supplier(supplier_id="mill", **FARM)  # type: ignore[arg-type]
        assert mine == [stated, Supplier(supplier_id="mill", **FARM | {"lead_days": 3}), None]  # type: ignore[arg-type]
    # The coordinator has no use for them.
    told, *_ = pull(office, None)
    assert [each for each in told if each.supplier is not None] == []


def test_a_supplier_with_an_open_order_stays(api: Api, deliveries: Deliveries) -> None:
    made = make(api)
    refused = api.call("purchasing", "DELETE", "/v1/suppliers/farm")
    assert (refused.status_code, refused.json()["code"]) == (409, "supplier-in-use")
    assert refused.json()["purchase_order_ids"] == [made["purchase_order_id"]]
    assert made["purchase_order_id"] in refused.json()["detail"]
    level = {"reorder_point": 1, "order_up_to": 2, "supplier_id": "farm"}
    assert api.call("purchasing", "PUT", "/v1/reorder-levels/BEY-01/milk", level).status_code == 200
    assert (
        api.call("purchasing", "POST", f"/v1/purchase-orders/{made['purchase_order_id']}/close", {}).status_code == 200
    )
    assert api.call("purchasing", "DELETE", "/v1/suppliers/farm").status_code == 204
    assert api.call("viewer", "GET", "/v1/reorder-levels/BEY-01/milk").json()["supplier_id"] == "farm"
    past = api.call("viewer", "GET", "/v1/purchase-orders?supplier_id=farm").json()["items"]
    assert [(each["purchase_order_id"], each["state"]) for each in past] == [(made["purchase_order_id"], "CLOSED")]
    # The order itself is known again where it is stated again, though no new one could be made.
    same = api.call("purchasing", "POST", "/v1/purchase-orders", ORDER)
    assert same.json()["code"] == "unknown-supplier"


def test_many_open_orders_are_not_all_named(api: Api) -> None:
    for number in range(12):
        make(api, purchase_order_id=f"X-{number:02}")
    refused = api.call("purchasing", "DELETE", "/v1/suppliers/farm").json()
    assert len(refused["purchase_order_ids"]) == 10
    assert "and more" in refused["detail"]


@pytest.mark.parametrize(
    ("who", "method", "path", "body", "status", "code"),
    [
        ("viewer", "GET", "/v1/suppliers/fram", None, 404, "supplier-not-found"),
        ("admin", "DELETE", "/v1/suppliers/fram", None, 404, "supplier-not-found"),
        ("viewer", "GET", "/v1/suppliers?after=x", None, 400, "bad-cursor"),
        ("viewer", "GET", "/v1/suppliers?limit=0", None, 422, "invalid-request"),
        ("viewer", "PUT", "/v1/suppliers/farm", FARM, 403, "forbidden"),
        ("manager of BEY-01", "PUT", "/v1/suppliers/farm", FARM, 403, "forbidden"),
        ("manager of BEY-01", "DELETE", "/v1/suppliers/farm", None, 403, "forbidden"),
        ("staff", "GET", "/v1/suppliers", None, 403, "forbidden"),
        ("admin", "PUT", "/v1/suppliers/%20farm", FARM, 422, "invalid-request"),
        ("admin", "PUT", f"/v1/suppliers/{'x' * 65}", FARM, 422, "invalid-request"),
        ("admin", "PUT", "/v1/suppliers/farm", FARM | {"email": "no"}, 422, "invalid-request"),
        ("admin", "PUT", "/v1/suppliers/farm", FARM | {"phone": "1"}, 422, "invalid-request"),
        ("admin", "PUT", "/v1/suppliers/farm", b"{", 400, "malformed-json"),
        ("admin", "PUT", "/v1/suppliers/farm", b'{"name": "A", "name": "B"}', 400, "malformed-json"),
    ],
)
def test_what_cannot_be_is_refused(
    api: Api, who: str, method: str, path: str, body: object, status: int, code: str
) -> None:
    answer = api.call(who, method, path, body)
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    assert answer.json()["hint"]
    if code == "supplier-not-found":
        assert answer.json()["nearest"] == ["farm"]
