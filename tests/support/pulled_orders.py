"""Suppliers and orders to them as a branch pulls them, short to write."""

from __future__ import annotations

from typing import Any

from branch_node.sync.catalogue_update import ApplyCatalogue, CatalogueIds
from shared.catalogue_messages import CatalogueEntry, CataloguePurchaseOrder, CatalogueSupplier
from shared.events import Cost
from shared.purchases.purchase_orders import PurchaseOrder, PurchaseOrderLine
from shared.purchases.suppliers import Supplier
from tests.support.branch import PLACE
from tests.support.events import NOON

FARM = Supplier(supplier_id="farm", name="Farm of the valley", email="orders@farm.example", lead_days=2)
LINES = (("milk", "l", 10_000), ("beans", "kg", 5_000))


def purchase_order(
    purchase_order_id: str = "PO-000001",
    lines: tuple[tuple[str, str, int], ...] = LINES,
    *,
    closed: tuple[int, ...] = (),
    supplier_id: str = "farm",
    location_id: str = PLACE,
    due: str | None = "2026-12-01",
    cost: Cost | None = None,
) -> PurchaseOrder:
    """An order with lines given as (item, unit, thousandths); `closed` are numbers of lines."""
    return PurchaseOrder(
        purchase_order_id=purchase_order_id,
        location_id=location_id,
        supplier_id=supplier_id,
        lines=tuple(
            PurchaseOrderLine(line=place, item_id=item, unit=unit, quantity=quantity, closed=place in closed, cost=cost)
            for place, (item, unit, quantity) in enumerate(lines, start=1)
        ),
        created_at=NOON,
        due=due,
    )


def pulled(*stated: PurchaseOrder | Supplier | CatalogueSupplier, keep: CatalogueIds | None = None) -> ApplyCatalogue:
    """The command by which the puller applies these entries of the catalogue."""
    entries = [
        CatalogueEntry(version=place, hash=f"{place:064x}", **_content(each)) for place, each in enumerate(stated, 1)
    ]
    return ApplyCatalogue(entries, version=len(entries), digest=f"{len(entries):064x}", keep=keep)


def _content(stated: PurchaseOrder | Supplier | CatalogueSupplier) -> dict[str, Any]:
    if isinstance(stated, PurchaseOrder):
        entry = CataloguePurchaseOrder(purchase_order_id=stated.purchase_order_id, order=stated)
        return {"purchase_order": entry}
    if isinstance(stated, Supplier):
        stated = CatalogueSupplier(supplier_id=stated.supplier_id, supplier=stated)
    return {"supplier": stated}
