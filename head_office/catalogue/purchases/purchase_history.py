"""Suppliers and orders to them as they were known at a moment, from the catalogue's history: so it never changes.

Works inside the transaction of the Connection it is given; moments are microseconds UTC, settled where they are past
(`head_office.reports.known_at`).
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

import msgspec
from sqlalchemy import BigInteger, Connection, cast, func, literal, select
from sqlalchemy.dialects.postgresql import JSONB, JSONPATH

from head_office.catalogue.catalogue_history import entries_at
from head_office.database.arrays import array
from head_office.database.office_schema import CATALOGUE_ENTRY
from head_office.database.purchase_tables import SUPPLIER
from shared.catalogue_messages import CataloguePurchaseOrder, CatalogueSupplier
from shared.purchases.purchase_orders import PurchaseOrder
from shared.purchases.suppliers import Supplier

_decode_order: Final = msgspec.json.Decoder(CataloguePurchaseOrder).decode
_decode_supplier: Final = msgspec.json.Decoder(CatalogueSupplier).decode

# An open line is written without `closed`: fields at their default are left out.
_HAS_OPEN_LINE: Final = "$.order.lines[*] ? (!exists(@.closed) || @.closed == false)"


def orders_known(connection: Connection, location_ids: Collection[str], known_at: int) -> list[PurchaseOrder]:
    """The orders of these locations as they were known at a moment, by location and id.

    Without those of which every line was closed: nothing of them is on order, whatever was delivered.
    """
    order = CATALOGUE_ENTRY.c
    newest = (
        entries_at("purchase_order", literal(known_at, BigInteger))
        .where(order.location_id == func.any(array(sorted(location_ids))))
        .subquery("newest")
    )
    query = (
        select(newest.c.content)
        .where(func.jsonb_path_exists(cast(newest.c.content, JSONB), cast(_HAS_OPEN_LINE, JSONPATH)))
        .order_by(newest.c.location_id, newest.c.subject)
    )
    return [_decode_order(content).order for content in connection.execute(query).scalars()]


def suppliers_known(connection: Connection, known_at: int | None) -> dict[str, Supplier]:
    """The suppliers by id, now (None) or as they were known at a moment."""
    if known_at is None:
        query = select(SUPPLIER.c.supplier_id, SUPPLIER.c.name, SUPPLIER.c.email, SUPPLIER.c.lead_days)
        return {row.supplier_id: Supplier(**row._mapping) for row in connection.execute(query)}
    then = entries_at("supplier", literal(known_at, BigInteger))
    found = (_decode_supplier(row.content) for row in connection.execute(then))
    return {each.supplier_id: each.supplier for each in found if each.supplier is not None}
