"""The rules of transfers: which event counts where, what they add up to, when one is over, what answers a step. Pure.

Quantities are thousandths of an item's base unit. Source: DESIGN section 5. This module is the authority. What follows
restates a part of it in SQL or for speed; the property beside each holds it to this module (those without a file are in
tests/integration/head_office/transfers/test_transfer_sums.py):

- `head_office.log.projections.add_transfers` (adds new events to `transfer_line`), `head_office.log.rebuild` (computes
  that table from the log): `test_lines_are_the_sums`.
- `head_office.reports.in_transit` (the report, now and as of the past): `test_report_shows_what_is_in_transit`.
- `head_office.reports.conservation` (sums `event.in_transit_change`): `test_report_shows_what_is_in_transit`. The signs
  of that column are in `shared.events.RULES`: tests/unit/shared/test_transfers.py `test_signs_are_those_of_the_events`.
- `head_office.transfers.instructions` (open until answered, kept while goods are in transit):
  `test_instructions_are_open_until_answered_and_kept_until_over`.
- `head_office.transfers.transfer_facts` (quantities of facts): `test_facts_add_up_to_the_same`.

tests/simulation/invariants.py and deploy/demo/checks.py have tables of their own on purpose: they check the product.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import Any, Final, Protocol, TypeVar

import msgspec

from shared.events import EventType
from shared.messages import InstructionStep

SUM_OF: Final[dict[EventType, str]] = {
    EventType.TRANSFER_OUT: "sent",
    EventType.TRANSFER_REVERSED: "reversed",
    EventType.TRANSFER_IN: "received",
    EventType.TRANSFER_LOST: "lost",
}
"""The sum of its transfer and item that an event's quantity is added to."""

SIGNS: Final = {"sent": 1, "reversed": -1, "received": -1, "lost": -1}
"""How each sum counts in what is in transit, in the order of the columns of `transfer_line`."""

AT_SOURCE: Final = frozenset({EventType.TRANSFER_OUT, EventType.TRANSFER_REVERSED})
AT_DESTINATION: Final = frozenset({EventType.TRANSFER_IN, EventType.TRANSFER_LOST})
"""The events that count only in the source's and only in the destination's log; TRANSFER_REFUSED counts in either."""

STEPS_AT_SOURCE: Final = frozenset({InstructionStep.OUT, InstructionStep.REFUSE_OUT, InstructionStep.REVERSE})

_OUT: Final = (EventType.TRANSFER_OUT, EventType.TRANSFER_REFUSED)
_IN: Final = (EventType.TRANSFER_IN, EventType.TRANSFER_LOST, EventType.TRANSFER_REFUSED)
ANSWERS: Final[dict[InstructionStep, tuple[EventType, ...]]] = {
    InstructionStep.OUT: _OUT,
    InstructionStep.REFUSE_OUT: _OUT,
    InstructionStep.IN: _IN,
    InstructionStep.REFUSE_IN: _IN,
    InstructionStep.REVERSE: (EventType.TRANSFER_REVERSED,),
}
"""The events in the instructed site's log of which any one answers a step."""

N = TypeVar("N")


class TransferEvent(Protocol):
    """What the rules need of an event (`shared.events.Event`) or of a fact (`shared.messages.Fact`)."""

    @property
    def location_id(self) -> str: ...
    @property
    def type(self) -> EventType: ...
    @property
    def item_id(self) -> str | None: ...
    @property
    def quantity(self) -> int | None: ...
    @property
    def reason(self) -> str | None: ...


class TransferTotals(msgspec.Struct, frozen=True, kw_only=True):
    """The sums of one transfer's events. Quantities are by item, in the order of the events.

    `settled` is received + lost. `refused` has the reason of the first refusal of each location. `elsewhere`: an event
    stands in the log of a site where it cannot belong, so it is in no sum.
    """

    sent: dict[str, int]
    reversed: dict[str, int]
    received: dict[str, int]
    lost: dict[str, int]
    settled: dict[str, int]
    refused: dict[str, str]
    elsewhere: bool

    @property
    def in_transit(self) -> dict[str, int]:
        """What is on its way of each item; below zero where it was received and its sender's log is not known yet."""
        return {
            item_id: sum(sign * getattr(self, name).get(item_id, 0) for name, sign in SIGNS.items())
            for item_id in {**self.sent, **self.reversed, **self.settled}
        }

    @property
    def over(self) -> bool:
        """Whether nothing is in transit: received and lost add up to what was sent, or all of it was reversed."""
        return not any(self.in_transit.values())

    @property
    def more_than_sent(self) -> bool:
        """Whether more of an item was received or lost than was sent."""
        return any(quantity > self.sent.get(item_id, 0) for item_id, quantity in self.settled.items())


def totals(
    events: Iterable[TransferEvent], source: str | None = None, destination: str | None = None
) -> TransferTotals:
    """Add up the events of one transfer, in any order.

    With both sites given, an event that cannot belong to its site is left out and marked as `elsewhere`. Events of
    other types, such as an ADJUSTMENT that names the transfer, change nothing.
    """
    sums: dict[str, dict[str, int]] = {name: {} for name in SIGNS}
    settled: dict[str, int] = {}
    refused: dict[str, str] = {}
    elsewhere = False
    known = source is not None and destination is not None
    for event in events:
        kind, site, item_id = event.type, event.location_id, event.item_id
        name = SUM_OF.get(kind)
        if name is not None:
            if item_id is None or (known and site != (source if kind in AT_SOURCE else destination)):
                elsewhere = True
                continue
            quantity = event.quantity or 0
            by_item = sums[name]
            by_item[item_id] = by_item.get(item_id, 0) + quantity
            if kind in AT_DESTINATION:
                settled[item_id] = settled.get(item_id, 0) + quantity
        elif kind is EventType.TRANSFER_REFUSED:
            refused.setdefault(site, event.reason or "refused")
            elsewhere |= known and site not in {source, destination}
    return TransferTotals(**sums, settled=settled, refused=refused, elsewhere=elsewhere)


def in_transit(amount: Callable[[str], N]) -> N:
    """The signed sum of the sums that `amount` gives by name: numbers, or columns of SQLAlchemy."""
    total: Any = None
    for name, sign in SIGNS.items():
        each: Any = amount(name)
        signed = each if sign > 0 else -each
        total = signed if total is None else total + signed
    result: N = total
    return result


def in_transit_sql(table: str) -> str:
    """The same sum as an SQL expression over the columns of `table`, a name of our own."""
    return " ".join(f"{'+' if sign > 0 else '-'} {table}.{name}" for name, sign in SIGNS.items()).removeprefix("+ ")


def answered(step: InstructionStep, kinds: Collection[EventType]) -> bool:
    """Whether events of these types in the instructed site's log answer the step, so that it is no longer open."""
    return any(kind in kinds for kind in ANSWERS[step])


def site_of(step: InstructionStep, source: str, destination: str) -> str:
    """The site that a step is requested of."""
    return source if step in STEPS_AT_SOURCE else destination
