"""The checks of a demo day, on the databases and the callers' totals, not on what the services report.

Pure: `snapshot_reader` reads what is checked here. A test breaks what each check looks at and sees it fail.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from deploy.demo.day import ENDED, DayTotals
from shared.chain import GENESIS, follow, understand
from shared.events import Event, EventNotUnderstood, EventType, quantity_text
from shared.stock import Movement, fold, movement

Stock = dict[str, int]


@dataclass(frozen=True)
class LogCopy:
    """One side's copy of a log: canonical lines, the hash of each, projected on hand of each item (thousandths)."""

    lines: list[bytes]
    hashes: list[bytes]
    on_hand: Stock


@dataclass(frozen=True)
class Snapshot:
    """Both copies of every location's log, the state of each transfer at the coordinator, and the callers' totals."""

    branches: dict[str, LogCopy]
    head_office: dict[str, LogCopy]
    transfers: dict[str, str]
    totals: DayTotals


@dataclass(frozen=True)
class Check:
    """One check: its name, whether it holds, and the first fault."""

    name: str
    holds: bool
    detail: str = field(default="")


def run_checks(snapshot: Snapshot) -> list[Check]:
    """Every check, in the order in which they are shown."""
    return [
        _result(name, find_faults(snapshot))
        for name, find_faults in (
            ("the logs are equal, byte for byte", logs_equal),
            ("every hash verifies, on both sides", chains_verify),
            ("projection = fold of the log, on both sides", projections_fold),
            ("nothing lost, nothing counted twice", as_answered),
            ("every transfer ended in the state that its caller received", transfers_ended_as_answered),
            ("conservation: no goods appear or vanish", conserved),
        )
    ]


def _result(name: str, faults: Iterable[str]) -> Check:
    first = next(iter(faults), None)
    return Check(name, first is None, first or "")


def logs_equal(snapshot: Snapshot) -> Iterable[str]:
    """Faults: a location whose two copies differ in a byte, or one side that has more."""
    for location, copy in snapshot.branches.items():
        other = snapshot.head_office.get(location)
        if other is None:
            yield f"{location}: head office has no log"
        elif len(other.lines) != len(copy.lines):
            yield f"{location}: {len(copy.lines)} events at the branch, {len(other.lines)} at head office"
        else:
            for sequence, (here, there) in enumerate(zip(copy.lines, other.lines, strict=True), start=1):
                if here != there:
                    yield f"{location}: event {sequence} differs"


def chains_verify(snapshot: Snapshot) -> Iterable[str]:
    """Faults: an event whose recorded hash is not the one computed from its line and the hash before it."""
    for side, location, copy in _copies(snapshot):
        for sequence, (computed, recorded) in enumerate(
            zip(follow(GENESIS, copy.lines), copy.hashes, strict=False), start=1
        ):
            if computed != recorded:
                yield f"{location} at the {side}: the hash of event {sequence} is wrong"
                break
        if len(copy.hashes) != len(copy.lines):
            yield f"{location} at the {side}: {len(copy.lines)} lines, {len(copy.hashes)} hashes"


def projections_fold(snapshot: Snapshot) -> Iterable[str]:
    """Faults: an item whose projected figure is not the fold of its events."""
    for side, location, copy in _copies(snapshot):
        folded = fold_lines(copy.lines)
        if folded is None:
            yield f"{location} at the {side}: the log cannot be read"
            continue
        for item_id in sorted({*folded, *copy.on_hand}):
            projected, computed = copy.on_hand.get(item_id, 0), folded.get(item_id, 0)
            if projected != computed:
                yield (
                    f"{location} at the {side}: {item_id} is projected as {quantity_text(projected)}, "
                    f"its events say {quantity_text(computed)}"
                )


def as_answered(snapshot: Snapshot) -> Iterable[str]:
    """Faults: stock at head office that differs from the callers' totals, or another number of order lines."""
    for (location, item_id), expected in sorted(snapshot.totals.expected.items()):
        there = snapshot.head_office[location].on_hand.get(item_id, 0)
        if there != expected:
            yield f"{location}: {quantity_text(there)} of {item_id}, the callers counted {quantity_text(expected)}"
    for location, lines in snapshot.totals.order_lines.items():
        kept = _events(snapshot.head_office[location].lines) or []
        recorded = sum(event.type is EventType.ORDER_DEDUCTION for event in kept)
        if recorded != lines:
            yield f"{location}: {recorded} order lines in the log, {lines} were sent"


def transfers_ended_as_answered(snapshot: Snapshot) -> Iterable[str]:
    """Faults: a transfer that has not ended, or ended in another state than its caller was answered."""
    for transfer_id, answered in snapshot.totals.transfers.items():
        state = snapshot.transfers.get(transfer_id, "unknown")
        if state != answered or state not in ENDED:
            yield f"{transfer_id} is {state}, its caller received {answered}"
    for transfer_id, state in snapshot.transfers.items():
        if state not in ENDED:
            yield f"{transfer_id} hangs in {state}"


def conserved(snapshot: Snapshot) -> Iterable[str]:
    """Faults: an item whose on hand + in transit + lost is not what came in − what went out + the variances."""
    excess: Counter[str] = Counter()
    in_transit: Counter[tuple[str, str]] = Counter()
    for location, copy in snapshot.head_office.items():
        events = _events(copy.lines)
        if events is None:
            yield f"{location}: the log cannot be read"
            continue
        voided = {event.voided_sequence for event in events}
        for item_id, movements in _movements_by_item(events).items():
            excess[item_id] += copy.on_hand.get(item_id, 0) - fold(movements).variance
        for event in events:
            if event.sequence in voided or event.item_id is None or event.quantity is None:
                continue
            excess[event.item_id] -= _FLOWS.get(event.type, 0) * event.quantity
            direction = _TRANSIT.get(event.type, 0)
            excess[event.item_id] += direction * event.quantity
            if event.type is EventType.TRANSFER_LOST:
                excess[event.item_id] += event.quantity
            in_transit[event.transfer_id or "", event.item_id] += direction * event.quantity
    for item_id, surplus in sorted(excess.items()):
        if surplus:
            yield f"{quantity_text(surplus)} of {item_id} came from nowhere"
    for (transfer_id, item_id), left in sorted(in_transit.items()):
        if left:
            yield f"{quantity_text(left)} of {item_id} is still on its way in {transfer_id}"


# How each type counts in the equation; stated here again, as a check must not use the fold's own table.
_FLOWS = {
    EventType.PURCHASE_RECEIVED: 1,
    EventType.PURCHASE_RETURNED: -1,
    EventType.ORDER_DEDUCTION: -1,
    EventType.CUSTOMER_RETURN: 1,
    EventType.INTERNAL_USE: -1,
    EventType.WASTE_RECORDED: -1,
    EventType.PRODUCTION_USED: -1,
    EventType.PRODUCTION_MADE: 1,
    EventType.ADJUSTMENT: 1,
    EventType.RESERVATION_CONFIRMED: -1,
}
_TRANSIT = {EventType.TRANSFER_OUT: 1, EventType.TRANSFER_IN: -1, EventType.TRANSFER_LOST: -1}


def fold_lines(lines: list[bytes]) -> Stock | None:
    """On hand of every item, folded from canonical lines; None where a line cannot be read."""
    events = _events(lines)
    return (
        None
        if events is None
        else {item_id: fold(movements).on_hand for item_id, movements in _movements_by_item(events).items()}
    )


def _events(lines: list[bytes]) -> list[Event] | None:
    try:
        return [understand(line) for line in lines]
    except EventNotUnderstood:
        return None


def _movements_by_item(events: list[Event]) -> dict[str, list[Movement]]:
    found: defaultdict[str, list[Movement]] = defaultdict(list)
    for event in events:
        if event.item_id is not None and event.type is not EventType.ITEM_DEFINED:
            found[event.item_id].append(movement(event))
    return found


def _copies(snapshot: Snapshot) -> Iterable[tuple[str, str, LogCopy]]:
    for side, copies in (("branch", snapshot.branches), ("head office", snapshot.head_office)):
        for location, copy in copies.items():
            yield side, location, copy
