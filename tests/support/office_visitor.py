"""Somebody at head office's pages, and a head office with something to order."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from httpx2 import Response
from sqlalchemy import Engine

from head_office.catalogue import items
from head_office.catalogue.location_levels import LevelChange, put_levels
from head_office.catalogue.purchases.group_suppliers import put_suppliers
from shared.catalogue_messages import CatalogueItem
from shared.levels.reorder_levels import ReorderLevel
from shared.purchases.suppliers import Supplier
from tests.support.html import Element, faults, filled_form, form_fields, parse, rows
from tests.support.morning_rig import MorningRig, set_clock

HOSTILE = "<script>alert(1)</script>"
FARM = "Ferme d’Été"


@dataclass
class OfficeVisitor:
    """Every page that is opened is looked at for what keeps people from using it."""

    client: Any
    keys: dict[str, str]
    last: Response = field(init=False)

    def open(self, address: str, **query: str) -> Element:
        return self._read(self.client.get(address + (f"?{urlencode(query)}" if query else "")))

    def send(self, page: Element, action: str, **changed: str) -> Element:
        """Send the page's form with this action, and follow where it leads."""
        return self._read(self.client.post(action, data=filled_form(page, action, **changed)))

    def sign_in(self, who: str = "purchasing") -> None:
        self.client.cookies.clear()
        page = self.open("/")
        self.client.post("/sign-in", data={**form_fields(page.first("form")), "key": self.keys[who]})

    def table(self, page: Element, number: int = 0) -> list[list[str]]:
        return rows(list(page.all("table"))[number])

    def _read(self, answer: Response) -> Element:
        self.last = answer
        assert answer.headers["content-type"] == "text/html; charset=utf-8", answer.text
        assert faults(answer.text) == []
        return parse(answer.text)


def something_to_order(engine: Engine) -> MorningRig:
    """Noon of a day of 2087 at BEY-01, which has 4 of milk and is low; BEY-02 and WH-1 have no levels."""
    set_clock(engine, "2087-03-20T03:00")
    with engine.begin() as connection:
        items.put(
            connection,
            [
                CatalogueItem(item_id="milk", name="Whole milk", unit="l"),
                CatalogueItem(item_id="odd", name=HOSTILE, unit="pcs"),
                CatalogueItem(item_id="halloumi", name="حلوم بلدي", unit="kg"),
            ],
        )
        put_suppliers(
            connection,
            [Supplier(supplier_id="farm", name=FARM, lead_days=3), Supplier(supplier_id="dairy", name="Dairy")],
        )
        put_levels(
            connection,
            [
                LevelChange(
                    "BEY-01",
                    "milk",
                    ReorderLevel(reorder_point=5_000, order_up_to=20_000, supplier_id="farm", pack_size=6_000),
                ),
                LevelChange("BEY-01", "odd", ReorderLevel(reorder_point=0, order_quantity=2_500, supplier_id="farm")),
                LevelChange("BEY-01", "halloumi", ReorderLevel(reorder_point=1_000, order_up_to=2_000)),
            ],
        )
    rig = MorningRig(engine)
    rig.record("BEY-01", "STOCKTAKE", 9_000, "2087-03-19T20:00")
    rig.record("BEY-01", "ORDER_DEDUCTION", 5_000, "2087-03-20T01:00")
    rig.clock("2087-03-20T10:00")
    return rig
