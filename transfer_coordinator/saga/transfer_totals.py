"""The facts of one transfer added up. Pure; quantities are thousandths."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec

from shared.events import EventType
from shared.messages import Fact

_OUT, _IN, _LOST, _REVERSED = (
    EventType.TRANSFER_OUT,
    EventType.TRANSFER_IN,
    EventType.TRANSFER_LOST,
    EventType.TRANSFER_REVERSED,
)
_AT_SOURCE: Final = frozenset({_OUT, _REVERSED})
_AT_DESTINATION: Final = frozenset({_IN, _LOST})


class TransferTotals(msgspec.Struct, frozen=True, kw_only=True):
    """What the logs say of one transfer. A refusal is its reason, None where there is none."""

    sent: dict[str, int]
    received: dict[str, int]
    lost: dict[str, int]
    settled: dict[str, int]  # received + lost
    reversed: frozenset[str]  # the items whose OUT was undone; it is always undone whole
    refused_at_source: str | None
    refused_at_destination: str | None
    elsewhere: bool


def tally(source: str, destination: str, facts: Iterable[Fact]) -> TransferTotals:
    """Add up the facts. What stands in the log of a site where it cannot belong is `elsewhere`, and in no sum."""
    sums: dict[EventType, dict[str, int]] = {_OUT: {}, _IN: {}, _LOST: {}}
    undone: set[str] = set()
    refused: dict[str, str] = {}
    elsewhere = False
    for fact in facts:
        kind, site = fact.type, fact.location_id
        if kind is EventType.TRANSFER_REFUSED:
            refused.setdefault(site, fact.reason or "refused")
            elsewhere |= site not in {source, destination}
        elif kind in _AT_SOURCE or kind in _AT_DESTINATION:
            if site != (source if kind in _AT_SOURCE else destination) or fact.item_id is None:
                elsewhere = True
            elif kind is _REVERSED:
                undone.add(fact.item_id)
            else:
                by_item = sums[kind]
                by_item[fact.item_id] = by_item.get(fact.item_id, 0) + (fact.quantity or 0)
    settled = dict(sums[_IN])
    for item_id, quantity in sums[_LOST].items():
        settled[item_id] = settled.get(item_id, 0) + quantity
    return TransferTotals(
        sent=sums[_OUT],
        received=sums[_IN],
        lost=sums[_LOST],
        settled=settled,
        reversed=frozenset(undone),
        refused_at_source=refused.get(source),
        refused_at_destination=refused.get(destination),
        elsewhere=elsewhere,
    )
