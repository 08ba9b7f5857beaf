"""Random histories of a group in which goods are used for dishes and orders, and orders are refused."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from shared.events import Event, EventType, Reference
from tests.support.groups import groups

_USES = ("ORDER_DEDUCTION", "INTERNAL_USE", "PRODUCTION_USED", "CUSTOMER_RETURN", "PURCHASE_RECEIVED")
_PLAIN = (*_USES, "WASTE_RECORDED")
_references = st.none() | st.builds(
    Reference,
    kind=st.sampled_from(["order", "order", "ticket"]),
    id=st.sampled_from(["1", "2", "=3"]),
    product=st.sampled_from([None, "latte", "tea, iced"]),
)


@st.composite
def used_groups(draw: st.DrawFn) -> dict[str, list[Event]]:
    """Unplaced events by location, as of `groups`. Some of `milk` are recorded as `leche`, in the same unit."""
    logs = draw(groups(max_size=20))
    for log in logs.values():
        undone = {event.voided_sequence for event in log}
        for number, event in enumerate(log, start=1):
            event.source = draw(st.sampled_from(["till", "web"]))
            if event.type.value not in _PLAIN:
                continue
            event.reference = draw(_references)
            if event.type is not EventType.WASTE_RECORDED:
                event.type = EventType(draw(st.sampled_from(_USES)))
            if number not in undone:
                _vary(draw, event, number)
    return logs


def _vary(draw: st.DrawFn, event: Event, number: int) -> None:
    """An event that nothing voids may be of another code, or a refusal."""
    event.item_id = draw(st.sampled_from(["milk", "leche"])) if event.item_id == "milk" else event.item_id
    if draw(st.integers(0, 3)) == 0:
        refused: dict[str, Any] = {
            "type": EventType.RESERVATION_REFUSED,
            "reason": draw(st.sampled_from(["unavailable", "unavailable", "superseded"])),
            "reservation_id": f"refused-{number}",
            "reference": Reference(kind="order", id=draw(st.sampled_from(["1", "2"])), revision=1),
        }
        for name, value in refused.items():
            setattr(event, name, value)
