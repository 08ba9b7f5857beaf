"""Random but legal histories of one item, for properties: sales, counts, voids, transfers, promises, late events."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from shared.events import Event
from shared.reservations import RESTATED
from tests.support.events import MINUTE, NOON, an_event

PLAIN = ("PURCHASE_RECEIVED", "ORDER_DEDUCTION", "WASTE_RECORDED", "CUSTOMER_RETURN", "TRANSFER_IN", "TRANSFER_LOST")


@st.composite
def histories(draw: st.DrawFn, max_size: int = 25) -> list[Event]:
    """Unplaced events of the item `milk`, in the order they are recorded (their times are not in order)."""
    events: list[Event] = []
    voidable: list[int] = []
    sent: list[int] = []
    promised: dict[str, int] = {}
    for index in range(draw(st.integers(0, max_size))):
        at = NOON + draw(st.integers(0, 8)) * MINUTE
        quantity = draw(st.integers(1, 9)) * 500
        choice = draw(
            st.sampled_from(
                [*PLAIN, "STOCKTAKE", "STOCKTAKE", "void", "reverse", "out", "reserve", "settle", "restate"]
            )
        )
        seed = index + 1
        if choice == "void" and voidable:
            target = voidable.pop(draw(st.integers(0, len(voidable) - 1)))
            events.append(_undo("EVENT_VOIDED", events[target], target, at, seed))
        elif choice == "reverse" and sent:
            target = sent.pop(draw(st.integers(0, len(sent) - 1)))
            events.append(_undo("TRANSFER_REVERSED", events[target], target, at, seed))
        elif choice == "out":
            sent.append(index)
            events.append(_transfer("TRANSFER_OUT", at, quantity, seed))
        elif choice == "reserve":
            key = f"r{index}"
            promised[key] = quantity
            expires_at = at + draw(st.integers(1, 6)) * MINUTE
            fields = {"quantity": quantity, "reservation_id": key, "expires_at": expires_at}
            events.append(an_event("STOCK_RESERVED", seed=seed, occurred_at=at, **fields))
        elif choice == "settle" and promised:
            key = draw(st.sampled_from(sorted(promised)))
            taken = draw(st.sampled_from([promised[key], 500]))
            promised[key] -= taken
            if promised[key] == 0:
                del promised[key]
            kind = draw(st.sampled_from(["RESERVATION_RELEASED", "RESERVATION_CONFIRMED"]))
            fields = {"quantity": taken, "reservation_id": key}
            if kind == "RESERVATION_RELEASED" and draw(st.booleans()):
                fields["reason"] = RESTATED
            events.append(an_event(kind, seed=seed, occurred_at=at, **fields))
        elif choice == "restate" and promised:  # more of it, until an earlier or later moment
            key = draw(st.sampled_from(sorted(promised)))
            promised[key] += quantity
            expires_at = NOON + draw(st.integers(1, 14)) * MINUTE
            fields = {"quantity": quantity, "reservation_id": key, "expires_at": expires_at}
            events.append(an_event("STOCK_RESERVED", seed=seed, occurred_at=at, **fields))
        elif choice == "STOCKTAKE":
            voidable.append(index)
            events.append(an_event("STOCKTAKE", seed=seed, occurred_at=at, counted=quantity - 500, expected=0))
        elif choice.startswith("TRANSFER"):
            events.append(_transfer(choice, at, quantity, seed))
        else:
            voidable.append(index)
            reason = {"reason": "spoiled"} if choice == "WASTE_RECORDED" else {}
            kind = choice if choice in PLAIN else "ORDER_DEDUCTION"
            events.append(an_event(kind, seed=seed, occurred_at=at, quantity=quantity, **reason))
    return events


def _transfer(kind: str, at: int, quantity: int, seed: int) -> Event:
    lost = {"reason": "broken"} if kind == "TRANSFER_LOST" else {}
    fields = {"quantity": quantity, "transfer_id": f"t{seed}", "transfer_line": 1}
    return an_event(kind, seed=seed, occurred_at=at, **fields, **lost)


def _undo(kind: str, target: Event, index: int, at: int, seed: int) -> Event:
    fields: dict[str, Any] = {"voided_event_id": target.event_id, "voided_sequence": index + 1}
    if kind == "TRANSFER_REVERSED":
        fields |= {"transfer_id": target.transfer_id, "transfer_line": 1, "quantity": target.quantity}
    else:
        fields |= {"reason": "mistake"}
    return an_event(kind, seed=seed, occurred_at=at, **fields)
