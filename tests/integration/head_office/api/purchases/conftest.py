"""Two items and a supplier, and deliveries as the logs would have them."""

from __future__ import annotations

from itertools import count
from typing import Any

import pytest
from sqlalchemy import Engine, insert

from head_office.catalogue import items
from head_office.catalogue.purchases.group_suppliers import put_suppliers
from head_office.database.purchase_tables import DELIVERED_LINE
from head_office.database.schema import VOIDED
from shared.catalogue_messages import CatalogueItem
from shared.purchases.suppliers import Supplier
from tests.integration.head_office.conftest import Api

LINES: list[dict[str, Any]] = [{"item_id": "milk", "quantity": 12}, {"item_id": "tomato", "quantity": "2.5"}]
ORDER: dict[str, Any] = {"location_id": "BEY-01", "supplier_id": "farm", "lines": LINES}


@pytest.fixture(autouse=True)
def catalogue(office: Engine) -> None:
    with office.begin() as connection:
        items.put(
            connection,
            [
                CatalogueItem(item_id="milk", name="Milk", unit="l"),
                CatalogueItem(item_id="tomato", name="Tomatoes", unit="kg"),
            ],
        )
        put_suppliers(connection, [Supplier(supplier_id="farm", name="Farm of the North")])


class Deliveries:
    """Rows of deliveries, as an ingest would keep them."""

    def __init__(self, office: Engine) -> None:
        self._office = office
        self._sequences = count(1)

    def add(self, order: str, line: int, item_id: str, received: int, returned: int = 0, place: str = "BEY-01") -> int:
        sequence = next(self._sequences)
        row = {
            "location_id": place,
            "sequence": sequence,
            "purchase_order_id": order,
            "line": line,
            "item_id": item_id,
            "received": received,
            "returned": returned,
            "occurred_at": 0,
        }
        with self._office.begin() as connection:
            connection.execute(insert(DELIVERED_LINE), row)
        return sequence

    def void(self, sequence: int, place: str = "BEY-01") -> None:
        row = {"location_id": place, "sequence": sequence, "by_sequence": next(self._sequences)}
        with self._office.begin() as connection:
            connection.execute(insert(VOIDED), row)


@pytest.fixture
def deliveries(office: Engine) -> Deliveries:
    return Deliveries(office)


def make(api: Api, body: dict[str, Any] | None = None, who: str = "purchasing", **fields: Any) -> dict[str, Any]:
    """The answer to a new order, which is as it should be."""
    answer = api.call(who, "POST", "/v1/purchase-orders", (body or ORDER) | fields)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made
