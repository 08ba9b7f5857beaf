"""The precondition that an item's stock is as the caller last read it, decided by the writer."""

from __future__ import annotations

import msgspec

from branch_node.database.stock.stock_figures import stock_of
from branch_node.database.stock.stock_tags import stock_tag
from branch_node.model import Item, View
from branch_node.problems import STOCK_CHANGED
from shared.runtime.http.entity_tags import IfMatch, quoted


def codes_meant(view: View, item: Item) -> list[str]:
    """The codes under which this log has the item that a code stands for."""
    return view.codes(item.stands_for or item.item_id)


def tag_now(view: View, item: Item) -> str:
    """The entity tag of an item's stock, with all decisions so far."""
    codes = codes_meant(view, item)
    return stock_tag([view.newest_events.of(code) for code in codes], sum(view.available(code) for code in codes))


def check_unchanged(view: View, item: Item, if_match: IfMatch) -> None:
    """Raise 412 `stock-changed`, with the stock as it is and its ETag, where it is none of those that are meant."""
    tag = tag_now(view, item)
    if if_match.allows(tag):
        return
    stock = stock_of(view.connection, item.item_id, now=view.now, as_of=None)
    raise STOCK_CHANGED(
        f"the stock of {stock.item_id} has changed since it was read",
        headers={"ETag": quoted(tag)},
        stock=msgspec.json.decode(msgspec.json.encode(stock)),
    )
