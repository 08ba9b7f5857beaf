"""What was known of suppliers at a moment. Works inside the transaction of the Connection it is given."""

from __future__ import annotations

from typing import Final

import msgspec
from sqlalchemy import BigInteger, Connection, literal, select

from head_office.catalogue.catalogue_history import entries_at
from head_office.database.purchase_tables import SUPPLIER
from shared.catalogue_messages import CatalogueSupplier
from shared.purchases.suppliers import Supplier

_decode: Final = msgspec.json.Decoder(CatalogueSupplier).decode


def suppliers_known(connection: Connection, known_at: int | None) -> dict[str, Supplier]:
    """Read the suppliers by id, now (None) or as they were known at a moment (microseconds UTC)."""
    if known_at is None:
        rows = connection.execute(select(SUPPLIER))
        return {row.supplier_id: Supplier(**row._mapping) for row in rows}
    found = (_decode(row.content) for row in connection.execute(entries_at("supplier", literal(known_at, BigInteger))))
    return {each.supplier_id: each.supplier for each in found if each.supplier is not None}
