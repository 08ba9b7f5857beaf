"""An item's stock with its entity tag, the same that the writer compares with If-Match."""

from __future__ import annotations

from decimal import Decimal

from branch_node.api.dependencies import ApiNode
from branch_node.database.stock.stock_figures import stock_of
from branch_node.database.stock.stock_tags import NO_EVENT, newest_event, stock_tag
from branch_node.records import StockRecord


def tagged_stock(node: ApiNode, item_id: str) -> tuple[StockRecord, str]:
    """The stock of one item now, and its tag, which is never newer than the figures. Raises 404 `item-not-found`."""
    # Before the snapshot: a tag of later events would let a change pass that was decided on older figures.
    newest = node.writer.newest_events(item_id)
    with node.store.reading() as connection:
        stock = stock_of(connection, item_id, now=node.clock.now(), as_of=None)
        for code, known in newest.items():
            if known is None:
                found = newest[code] = newest_event(connection, code)
                node.writer.keep_newest_event(code, found)
    hashes = [each or NO_EVENT for each in newest.values()]
    return stock, stock_tag(hashes, int(Decimal(bytes(stock.available).decode()) * 1_000))
