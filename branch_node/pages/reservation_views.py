"""What the pages of reservations show, as text and figures. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlencode

from branch_node.model import Item
from branch_node.pages.page_forms import SOURCE
from branch_node.pages.reservation_forms import MOST_FORM_LINES, STATE_WORDS
from shared.events import quantity_text
from shared.reservations import Reservation, ReservationState

MOST_PARTS: Final = 40
"""Of a reservation with more open lines the page confirms all or nothing: a form has at most 50 fields."""


@dataclass(frozen=True)
class ReservedLineView:
    """One item of a reservation, quantities in thousandths: `quantity` = `confirmed` + `released` + `open`."""

    item_id: str
    name: str
    unit: str
    quantity: int
    confirmed: int
    released: int
    open: int


@dataclass(frozen=True)
class ReservationView:
    """A reservation at a moment, times in microseconds UTC. `elsewhere`: another system's, whose name is `source`.

    `in_parts`: its open lines are few enough for a form to confirm each of them.
    """

    reservation_id: str
    order_id: str
    source: str
    elsewhere: bool
    revision: int
    state: str
    active: bool
    created_at: int
    expires_at: int
    lines: tuple[ReservedLineView, ...]
    open_lines: tuple[ReservedLineView, ...]
    in_parts: bool


def reservation_view(reservation: Reservation, items: Mapping[str, Item], now: int) -> ReservationView:
    """The view of a reservation; one that has expired by `now` is expired, whether or not its event is there."""
    state = reservation.state_at(now)
    active = state is ReservationState.ACTIVE
    lines = tuple(
        ReservedLineView(
            item_id=line.item_id,
            name=items[line.item_id].name if line.item_id in items else line.item_id,
            unit=line.unit,
            quantity=line.quantity,
            confirmed=line.confirmed,
            released=line.released if active else line.quantity - line.confirmed,
            open=line.open if active else 0,
        )
        for line in reservation.lines
    )
    open_lines = tuple(line for line in lines if line.open)
    return ReservationView(
        reservation_id=reservation.reservation_id,
        order_id=reservation.order_id,
        source=reservation.source,
        elsewhere=reservation.source != SOURCE,
        revision=reservation.revision,
        state=STATE_WORDS[state],
        active=active,
        created_at=reservation.created_at,
        expires_at=reservation.expires_at,
        lines=lines,
        open_lines=open_lines,
        in_parts=len(open_lines) <= MOST_PARTS,
    )


def whole_order(reservation: Reservation, of_order: Iterable[Reservation]) -> str | None:
    """The query of the form that states a reservation's order anew, with the next revision; None where it has too many
    lines for a form. `of_order` are all reservations of the order: what was confirmed for an earlier one is part of it.
    """
    known = list(of_order)
    whole = {line.item_id: line.quantity for line in reservation.lines}
    for other in known:
        for line in other.lines:
            if other.reservation_id != reservation.reservation_id and line.confirmed:
                whole[line.item_id] = whole.get(line.item_id, 0) + line.confirmed
    if len(whole) > MOST_FORM_LINES:
        return None
    fields = {
        "order": reservation.order_id,
        "source": "" if reservation.source == SOURCE else reservation.source,
        "revision": str(max(each.revision for each in [reservation, *known]) + 1),
    }
    for number, (item_id, quantity) in enumerate(whole.items(), start=1):
        fields |= {f"item-{number}": item_id, f"quantity-{number}": quantity_text(quantity)}
    return urlencode({name: text for name, text in fields.items() if text})
