"""The suppliers of the group. Works inside the transaction of the Connection it is given."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from msgspec import structs
from sqlalchemy import Connection, delete, select

from head_office.catalogue.catalogue_history import Change, EntryOutcome, lock, outcome_of, publish
from head_office.database.purchase_tables import AWAITED, PURCHASE_ORDER, PURCHASE_ORDER_LINE, SUPPLIER
from head_office.problems import SUPPLIER_IN_USE, SUPPLIER_NOT_FOUND, UNKNOWN_SUPPLIER
from shared.catalogue_messages import CatalogueSupplier
from shared.levels.reorder_levels import MAX_LEAD_DAYS
from shared.purchases.suppliers import MAX_EMAIL, Supplier, email_fault
from shared.runtime.database.row_writes import upsert
from shared.runtime.problems import Problem, invalid_request
from shared.runtime.text.nearest_codes import MOST_COMPARED, Candidate, nearest_codes
from shared.runtime.text.text_faults import code_fault, name_fault

ORDERS_NAMED: Final = 10
"""How many open orders a refusal to remove their supplier names."""


def supplier_faults(supplier: Supplier) -> Iterable[tuple[str, str]]:
    """Find what a supplier cannot be: the name of the field, and why."""
    if not 1 <= len(supplier.supplier_id) <= 64:
        yield "supplier_id", "it has 1 to 64 characters"
    elif fault := code_fault(supplier.supplier_id):
        yield "supplier_id", fault
    if not 1 <= len(supplier.name) <= 1_000:
        yield "name", "it has 1 to 1000 characters"
    elif fault := name_fault(supplier.name):
        yield "name", fault
    if supplier.email is not None:
        if not 3 <= len(supplier.email) <= MAX_EMAIL:
            yield "email", f"it has 3 to {MAX_EMAIL} characters"
        elif fault := email_fault(supplier.email):
            yield "email", fault
    if supplier.lead_days is not None and not 0 <= supplier.lead_days <= MAX_LEAD_DAYS:
        yield "lead_days", f"it is not from 0 to {MAX_LEAD_DAYS}"


def put_suppliers(connection: Connection, suppliers: Sequence[Supplier]) -> list[EntryOutcome]:
    """Add or change suppliers, all or none, at most 1,000 with different ids. What changes nothing makes no version.

    Raises Problem 422 `invalid-request`.
    """
    for each in suppliers:
        for field, message in supplier_faults(each):
            invalid_request(field, message)
    lock(connection)
    present = suppliers_with_ids(connection, (each.supplier_id for each in suppliers))
    changed = [each for each in suppliers if present.get(each.supplier_id) != each]
    publish(connection, [Change(CatalogueSupplier(supplier_id=each.supplier_id, supplier=each)) for each in changed])
    upsert(connection, SUPPLIER, [structs.asdict(each) for each in changed])
    return [outcome_of(present.get(each.supplier_id), each) for each in suppliers]


def remove_supplier(connection: Connection, supplier_id: str) -> None:
    """Remove a supplier. Reorder levels keep its code, and its past orders stay.

    Raises Problem: 404 `supplier-not-found`, 409 `supplier-in-use` while something is awaited of an order to it.
    """
    lock(connection)
    read_supplier(connection, supplier_id)
    order = PURCHASE_ORDER.c
    awaited = (
        select(order.purchase_order_id)
        .join_from(
            PURCHASE_ORDER, PURCHASE_ORDER_LINE, PURCHASE_ORDER_LINE.c.purchase_order_id == order.purchase_order_id
        )
        .where(order.supplier_id == supplier_id, AWAITED)
        .distinct()
        .order_by(order.purchase_order_id)
        .limit(ORDERS_NAMED + 1)
    )
    found = list(connection.execute(awaited).scalars())
    if found:
        named = ", ".join(found[:ORDERS_NAMED]) + (" and more" if len(found) > ORDERS_NAMED else "")
        raise SUPPLIER_IN_USE(
            f"{supplier_id} has still to deliver on {named}",
            supplier_id=supplier_id,
            purchase_order_ids=found[:ORDERS_NAMED],
        )
    publish(connection, [Change(CatalogueSupplier(supplier_id=supplier_id))])
    connection.execute(delete(SUPPLIER).where(SUPPLIER.c.supplier_id == supplier_id))


def locked_supplier(connection: Connection, supplier_id: str) -> Supplier | None:
    """Hold the catalogue, and read a supplier that is to be changed; None where there is none."""
    lock(connection)
    return suppliers_with_ids(connection, [supplier_id]).get(supplier_id)


def read_supplier(connection: Connection, supplier_id: str) -> Supplier:
    """Read one supplier. Raises Problem 404 `supplier-not-found`."""
    found = suppliers_with_ids(connection, [supplier_id])
    if not found:
        near = _nearest(connection, supplier_id)
        raise SUPPLIER_NOT_FOUND(f"there is no supplier {supplier_id}", supplier_id=supplier_id, nearest=near)
    return found[supplier_id]


def check_suppliers(connection: Connection, supplier_ids: Iterable[str]) -> None:
    """Raise Problem 422 `unknown-supplier` for the first of the given suppliers that is not there."""
    wanted = sorted(set(supplier_ids))
    present = suppliers_with_ids(connection, wanted)
    for missing in wanted:
        if missing not in present:
            raise unknown_supplier(connection, missing)


def unknown_supplier(connection: Connection, supplier_id: str) -> Problem:
    """422 `unknown-supplier`, with the nearest codes."""
    near = _nearest(connection, supplier_id)
    return UNKNOWN_SUPPLIER(f"there is no supplier {supplier_id}", supplier_id=supplier_id, nearest=near)


def suppliers_with_ids(connection: Connection, supplier_ids: Iterable[str]) -> dict[str, Supplier]:
    """Those of the given suppliers that exist, by id; at most some thousands."""
    query = select(SUPPLIER).where(SUPPLIER.c.supplier_id.in_(sorted(set(supplier_ids))))
    return {row.supplier_id: Supplier(**row._mapping) for row in connection.execute(query)}


def list_suppliers(connection: Connection, after: str = "", limit: int = 1_000) -> list[Supplier]:
    """List suppliers in the order of their ids."""
    query = select(SUPPLIER).where(SUPPLIER.c.supplier_id > after).order_by(SUPPLIER.c.supplier_id).limit(limit)
    return [Supplier(**row._mapping) for row in connection.execute(query)]


def _nearest(connection: Connection, supplier_id: str) -> list[str]:
    rows = connection.execute(select(SUPPLIER.c.supplier_id, SUPPLIER.c.name).limit(MOST_COMPARED))
    return nearest_codes(supplier_id, (Candidate(*row) for row in rows))
