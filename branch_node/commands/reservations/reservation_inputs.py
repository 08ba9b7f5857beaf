"""Request bodies of reservations, and the content that is read from them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Final

import msgspec

from branch_node.commands.input_fields import DEFAULT_SOURCE, Person, StrictInput, bad_quantity, codes, quantity_of
from branch_node.commands.reservations.reservation_decisions import Rest
from shared.checked_fields import Amount, CheckedCode, CheckedId, OrderId, Revision, Source
from shared.events import MAX_LINES, MAX_QUANTITY, Code, quantity_text
from shared.reservations import RESTATED
from shared.runtime.http.body_faults import FieldRule
from shared.runtime.problems import invalid_request
from shared.runtime.text.text_faults import code_fault

MAX_RESERVED_LINES: Final = MAX_LINES // 2
"""A reservation that is stated anew may give back every line and reserve as many again, all in one command."""

DEFAULT_EXPIRY: Final = 900
MAX_EXPIRY: Final = 366 * 24 * 60 * 60
"""Seconds that a reservation lasts."""


class ReservationLineInput(StrictInput, kw_only=True):
    """A quantity of an item, above zero, in its base unit."""

    item_id: CheckedId
    quantity: Amount
    unit: CheckedCode | None = None


Lines = Annotated[list[ReservationLineInput], msgspec.Meta(min_length=1, max_length=MAX_RESERVED_LINES)]


class ReservationInput(StrictInput, kw_only=True):
    """What is to be reserved for an order, whole. A higher revision states it anew."""

    order_id: OrderId
    revision: Revision = 1
    source: Source | None = None
    lines: Lines
    expires_in: Annotated[
        int, msgspec.Meta(ge=1, le=MAX_EXPIRY, description="Seconds from now until it expires; 15 minutes if left out")
    ] = DEFAULT_EXPIRY
    actor: Person | None = None


class ConfirmationInput(StrictInput, kw_only=True):
    """What of a reservation has been sent; all that is open if `lines` are left out."""

    lines: Lines | None = None
    rest: Annotated[Rest, msgspec.Meta(description="What becomes of what stays open")] = Rest.RELEASE
    actor: Person | None = None


def _reason_fault(text: str) -> str | None:
    # Of a release, this reason says that the same command states the reservation anew.
    return f"{RESTATED!r} is a reason that the node itself gives" if text == RESTATED else code_fault(text)


class ReleaseInput(StrictInput, kw_only=True):
    """Why a reservation is given back."""

    reason: Annotated[Code, FieldRule(_reason_fault)] | None = None
    actor: Person | None = None


class WantedLine(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A quantity of an item, in thousandths; `unit` as the caller named it."""

    item_id: str
    quantity: int
    unit: str | None = None


class ReservationContent(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The content of a `ReservationInput`, one line an item; `expires_in` in seconds."""

    order_id: str
    revision: int
    source: str = DEFAULT_SOURCE
    lines: tuple[WantedLine, ...]
    expires_in: int = DEFAULT_EXPIRY
    person: str | None = None


class ConfirmationContent(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The content of a `ConfirmationInput`, one line an item."""

    reservation_id: str
    lines: tuple[WantedLine, ...] | None = None
    rest: Rest = Rest.RELEASE
    person: str | None = None


class ReleaseContent(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    reservation_id: str
    reason: str | None = None
    person: str | None = None


def reservation_content(body: ReservationInput) -> ReservationContent:
    """The content of a reservation's body. Raises Problem."""
    codes(order_id=body.order_id, actor=body.actor)
    return ReservationContent(
        order_id=body.order_id,
        revision=body.revision,
        source=body.source or DEFAULT_SOURCE,
        lines=_lines(body.lines),
        expires_in=body.expires_in,
        person=body.actor,
    )


def confirmation_content(reservation_id: str, body: ConfirmationInput) -> ConfirmationContent:
    """The content of a confirmation's body. Raises Problem."""
    codes(actor=body.actor)
    lines = None if body.lines is None else _lines(body.lines)
    return ConfirmationContent(reservation_id=reservation_id, lines=lines, rest=body.rest, person=body.actor)


def release_content(reservation_id: str, body: ReleaseInput) -> ReleaseContent:
    """The content of a release's body. Raises Problem."""
    codes(actor=body.actor)
    if body.reason is not None and (fault := _reason_fault(body.reason)) is not None:
        invalid_request("reason", fault)
    return ReleaseContent(reservation_id=reservation_id, reason=body.reason, person=body.actor)


def _lines(lines: Sequence[ReservationLineInput]) -> tuple[WantedLine, ...]:
    """One line an item, the same item summed, in the order in which items are named first."""
    total: dict[str, WantedLine] = {}
    for place, line in enumerate(lines):
        path = f"lines[{place}]."
        codes(**{f"{path}item_id": line.item_id, f"{path}unit": line.unit})
        quantity = quantity_of(line.quantity, f"{path}quantity", lowest=1)
        same = total.get(line.item_id)
        if same is not None:
            quantity += same.quantity
            if quantity > MAX_QUANTITY:
                most = quantity_text(MAX_QUANTITY)
                raise bad_quantity(f"{path}quantity", f"the lines of {line.item_id} come to more than {most}")
        total[line.item_id] = WantedLine(
            item_id=line.item_id, quantity=quantity, unit=line.unit or (None if same is None else same.unit)
        )
    return tuple(total.values())
