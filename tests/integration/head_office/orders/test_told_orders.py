"""Orders told to head office over HTTP: whatever is sent is answered, and never half done."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from sqlalchemy import create_engine

from head_office.catalogue import items
from shared.catalogue_messages import CatalogueItem
from tests.support.source_services import SourceService, office_service

PATH = "/v1/inbound/orders"
HERE = "BEY-01"


@pytest.fixture
def service(tmp_path: Path, office_url: str) -> Iterator[SourceService]:
    engine = create_engine(office_url)
    with engine.begin() as connection:
        known = [CatalogueItem(item_id=each, name=each, unit="l") for each in ("milk", *(f"i{n}" for n in range(260)))]
        items.put(connection, known)
    engine.dispose()
    with office_service(tmp_path, office_url) as service:
        yield service


def event(told: str, order_id: Any, id: str, **data: Any) -> dict[str, Any]:
    return {
        "specversion": "1.0",
        "id": id,
        "source": "/orders",
        "type": f"order.{told}",
        "data": {"order_id": order_id, **data},
    }


MILK = [{"item_id": "milk", "quantity": "1.250"}]


@pytest.mark.parametrize(
    "order_id", ["a/b", "/", "..", ".", "a?b#c", "Ünï-注文", "a b", "😀", "x" * 100, "a+b", "a\\b", "'\"", "100%"]
)
def test_an_order_is_read_by_the_id_that_it_was_told_with(service: SourceService, order_id: str) -> None:
    shop = service.add("shop")
    told = shop.tell(event("placed", order_id, "1", lines=MILK, location_id=HERE))
    assert (told.status_code, told.json()["outcome"], told.json()["order_id"]) == (202, "asked", order_id)
    path = f"{PATH}/shop/{quote(order_id, safe='').replace('.', '%2E')}"
    shown = service.call("GET", path)
    assert (shown.status_code, shown.json()["order_id"]) == (200, order_id)


@pytest.mark.parametrize(
    ("data", "code"),
    [
        ({"order_id": "x" * 101}, "invalid-request"),
        ({"order_id": ""}, "invalid-request"),
        ({"order_id": "a\ue000b"}, "invalid-request"),
        ({"order_id": 5}, "invalid-request"),
        ({"prefer": ["BEY-01", "NO"]}, "unknown-location"),
        ({"prefer": ["BEY-01"] * 1_001}, "invalid-request"),
        ({"prefer": None}, "invalid-request"),
        ({"location_id": ""}, "invalid-request"),
        ({"revision": 0}, "invalid-request"),
        ({"revision": 10**9 + 1}, "invalid-request"),
        ({"revision": 10**30}, "invalid-request"),
        ({"lines": [{"item_id": "milk", "quantity": 0}]}, "invalid-request"),
        ({"lines": [{"item_id": "milk", "quantity": 0.0001}]}, "invalid-request"),
        ({"lines": [{"item_id": "milk", "quantity": "-1"}]}, "invalid-request"),
        ({"lines": [{"item_id": "nothing", "quantity": 1}]}, "unknown-item"),
        ({"lines": [{"item_id": f"i{n}", "quantity": 1} for n in range(251)]}, "invalid-request"),
        ({"lines": []}, "invalid-request"),
        ({"expires_at": "2000-01-01T00:00:00Z"}, "invalid-time"),
        ({"expires_at": "2199-12-31T23:59:59Z"}, "invalid-time"),
        ({"expires_at": "9999-12-31T23:59:59Z"}, "invalid-request"),
        ({"expires_at": "0001-01-01T00:00:00Z"}, "invalid-request"),
    ],
)
def test_what_cannot_be_an_order(service: SourceService, data: dict[str, Any], code: str) -> None:
    shop = service.add("shop")
    whole = event("placed", "1", "1") | {"data": {"order_id": "1", "lines": MILK, **data}}
    for _ in range(2):
        told = shop.tell(whole)
        assert (told.status_code, told.json()["code"]) == (422, code), told.text
    assert service.call("GET", PATH).json()["items"] == []


@pytest.mark.parametrize("text", ["A", "%00", "x" * 3000, "WyJhXHUwMDAwIiwiYiJd", "%ED%A0%80"])
@pytest.mark.parametrize("name", ["after", "source", "state", "location_id", "limit"])
def test_lists_refuse_what_they_cannot_read(service: SourceService, name: str, text: str) -> None:
    assert service.call("GET", f"{PATH}?{name}={text}").status_code < 500


@pytest.mark.parametrize("time", ["2000-01-01T00:00:00+14:00", "1970-01-01T00:00:00Z", "9999-12-31T23:59:59Z"])
@pytest.mark.parametrize("told", ["shipped", "returned", "placed", "cancelled"])
def test_a_moment_that_nobody_means(service: SourceService, told: str, time: str) -> None:
    shop = service.add("shop")
    more = {} if told == "cancelled" else {"lines": MILK}
    answer = shop.tell(event(told, "1", "1", location_id=HERE, **more) | {"time": time})
    assert answer.status_code == 422, answer.text
    assert answer.json()["code"] in {"invalid-request", "future-date"}
    assert service.call("GET", f"{PATH}/shop/1").status_code == 404


def test_the_most_that_an_order_holds(service: SourceService) -> None:
    shop = service.add("shop")
    lines = [{"item_id": f"i{n}", "quantity": "999999999.999"} for n in range(250)]
    assert shop.tell(event("placed", "1", "1", lines=lines, location_id=HERE)).json()["outcome"] == "asked"
    elsewhere = shop.tell(event("placed", "2", "2", lines=lines, prefer=[HERE, HERE]))
    assert elsewhere.json()["outcome"] == "unavailable"
    assert len(elsewhere.json()["short"]) in {0, 250}
