"""Which items are meant by what people type into the form of an order, and an order that is held to be changed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from sqlalchemy import Connection

from head_office.api.dependencies import Office
from head_office.catalogue import items
from head_office.catalogue.purchases.purchase_order_changes import locked_order
from shared.purchases.purchase_orders import PurchaseOrder
from shared.runtime.http.auth import Principal


def items_typed(connection: Connection, typed: Iterable[str]) -> dict[str, str]:
    """The id of the item of the catalogue that each text means: as its id, else as the name of that item alone.

    Works inside the transaction of the Connection it is given. What means none, or several, is left out.
    """
    wanted = set(typed)
    found = {each.item_id: each.item_id for each in items.read_many(connection, sorted(wanted))}
    names = {text.casefold() for text in wanted - found.keys()}
    if not names:
        return found
    named: dict[str, list[str]] = {}
    after = ""
    while some := items.list_items(connection, after):
        after = some[-1].item_id
        for item in some:
            if (name := item.name.casefold()) in names:
                named.setdefault(name, []).append(item.item_id)
    for text in wanted - found.keys():
        meant = named.get(text.casefold(), [])
        if len(meant) == 1:
            found[text] = meant[0]
    return found


@contextmanager
def order_to_change(office: Office, principal: Principal, order_id: str) -> Iterator[tuple[Connection, PurchaseOrder]]:
    """A transaction with an order that is held to be changed. Raises Problem 403 `wrong-location`, 404."""
    with office.writing() as connection:
        order = locked_order(connection, order_id)
        principal.check_location(order.location_id)
        yield connection, order
