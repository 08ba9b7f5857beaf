"""Which items are meant by what people type into the form of an order, and an order that is held to be changed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Final, NamedTuple

from sqlalchemy import Connection

from head_office.api.dependencies import Office
from head_office.catalogue import items
from head_office.catalogue.purchases.purchase_order_changes import locked_order
from shared.purchases.purchase_orders import PurchaseOrder
from shared.runtime.http.auth import Principal
from shared.runtime.text.nearest_codes import MOST_COMPARED, Candidate, nearest_codes

MOST_SUGGESTED: Final = 10
"""For how many unknown texts the nearest ids are looked for."""


class TypedItems(NamedTuple):
    """What was typed for items: the id of each that is meant, and the nearest ids of what means none, or several."""

    meant: dict[str, str]
    nearest: dict[str, list[str]]


def items_typed(connection: Connection, typed: Iterable[str]) -> TypedItems:
    """Find the items of the catalogue that texts mean: by their ids, else by the name of one item alone.

    Works inside the transaction of the Connection it is given.
    """
    wanted = set(typed)
    meant = {each.item_id: each.item_id for each in items.read_many(connection, sorted(wanted))}
    names = {text.casefold() for text in wanted - meant.keys()}
    if not names:
        return TypedItems(meant, {})
    named: dict[str, list[str]] = {}
    candidates: list[Candidate] = []
    after = ""
    while some := items.list_items(connection, after):
        after = some[-1].item_id
        for item in some:
            if len(candidates) < MOST_COMPARED:
                candidates.append(Candidate(item.item_id, item.name, item.barcode))
            if (name := item.name.casefold()) in names:
                named.setdefault(name, []).append(item.item_id)
    unknown = sorted(wanted - meant.keys())
    meant |= {text: ids[0] for text in unknown if len(ids := named.get(text.casefold(), [])) == 1}
    left = [text for text in unknown if text not in meant][:MOST_SUGGESTED]
    return TypedItems(meant, {text: nearest_codes(text, candidates) for text in left})


@contextmanager
def order_to_change(office: Office, principal: Principal, order_id: str) -> Iterator[tuple[Connection, PurchaseOrder]]:
    """A transaction with an order that is held to be changed. Raises Problem 403 `wrong-location`, 404."""
    with office.writing() as connection:
        order = locked_order(connection, order_id)
        principal.check_location(order.location_id)
        yield connection, order
