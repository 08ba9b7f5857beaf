"""Random but legal histories of a group: two locations, two items, transfers between them, late events and voids."""

from __future__ import annotations

from hypothesis import strategies as st

from shared.events import Event
from tests.support.events import MINUTE, NOON, an_event
from tests.support.histories import histories

PLACES = ("BEY-01", "BEY-02")


@st.composite
def groups(draw: st.DrawFn, max_size: int = 14) -> dict[str, list[Event]]:
    """Unplaced events by location; `milk` has the histories of its own, `tea` moves between the two."""
    logs: dict[str, list[Event]] = {}
    for place in PLACES:
        logs[place] = draw(histories(max_size=max_size))
        for event in logs[place]:
            event.location_id = place
            if event.transfer_id is not None:
                event.transfer_id = f"{event.transfer_id}-{draw(st.sampled_from(PLACES))}"
        _same_transfers(logs[place])
    for number in range(draw(st.integers(0, 4))):
        _tea(draw, logs, number)
    for log in logs.values():
        for event in log:
            # What answers head office, sometimes two commands under one key, as of a copied log.
            if draw(st.integers(0, 5)) == 0:
                event.command_key = f"larder:inbound:shop:asked:{draw(st.integers(1, 3))}"
    return logs


def _same_transfers(log: list[Event]) -> None:
    """A reversal names the transfer of what it reverses."""
    for event in log:
        if event.type == "TRANSFER_REVERSED":
            event.transfer_id = log[(event.voided_sequence or 0) - 1].transfer_id


def _tea(draw: st.DrawFn, logs: dict[str, list[Event]], number: int) -> None:
    source, destination = draw(st.permutations(PLACES))
    sent = draw(st.integers(1, 8)) * 500
    arrived = draw(st.integers(0, sent // 500)) * 500
    named = {"item_id": "tea", "unit": "kg", "transfer_id": f"tea{number}", "transfer_line": 1}

    def at() -> int:
        return NOON + draw(st.integers(0, 8)) * MINUTE

    def add(place: str, kind: str, quantity: int, **more: object) -> None:
        if quantity:
            seed = 1_000 * (number + 1) + len(logs[place])
            fields = {**named, "quantity": quantity, **more}
            logs[place].append(an_event(kind, location_id=place, seed=seed, occurred_at=at(), **fields))

    if draw(st.booleans()):
        add(source, "TRANSFER_OUT", sent)
    add(destination, "TRANSFER_IN", arrived)
    if draw(st.booleans()):
        add(destination, "TRANSFER_LOST", sent - arrived, reason="broken")
    if draw(st.booleans()):
        count = {"item_id": "tea", "unit": "kg", "counted": draw(st.integers(0, 5)) * 500, "expected": 0}
        seed = 1_000 * (number + 1) + 500 + len(logs[source])
        logs[source].append(an_event("STOCKTAKE", location_id=source, seed=seed, occurred_at=at(), **count))
