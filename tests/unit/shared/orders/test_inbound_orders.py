"""What further commands of a told order say of it: answers that nobody placed anything by change nothing."""

from __future__ import annotations

import msgspec
import pytest

from shared.events import Event, Reference
from shared.orders.inbound_orders import NOTHING_LEFT, RESERVED_BEFORE, InboundOrder, advance_inbound_order
from tests.support.events import an_event

COVERED = InboundOrder(order_id="1", source="shop", revision=3, covered=True)
ITS = {"reservation_id": "r", "source": "shop"}


def of_order(revision: int | None, kind: str = "order") -> Reference:
    return Reference(id="1", kind=kind, revision=revision)


def refused(revision: int | None, reason: str) -> Event:
    return an_event("RESERVATION_REFUSED", quantity=1, reason=reason, reference=of_order(revision), **ITS)


def reviewed(revision: int | None, kind: str) -> Event:
    reference = of_order(revision, kind)
    return an_event("EVENT_REVIEWED", reviewed_event_id="0" * 36, reference=reference, source="shop")


@pytest.mark.parametrize(
    "answer",
    [
        refused(2, "superseded"),
        refused(None, "strict-item-below-zero"),
        reviewed(None, NOTHING_LEFT),
        reviewed(None, RESERVED_BEFORE),
    ],
)
def test_an_answer_that_is_no_statement_changes_nothing(answer: Event) -> None:
    assert advance_inbound_order(COVERED, [answer]) == COVERED
    uncovered = msgspec.structs.replace(COVERED, covered=False)
    assert advance_inbound_order(uncovered, [answer]) == uncovered


@pytest.mark.parametrize("revision", [3, 4])
def test_what_is_placed_and_refused_was_not_all_shipped(revision: int) -> None:
    after = advance_inbound_order(COVERED, [refused(revision, "unavailable")])
    assert (after.revision, after.covered) == (revision, False)


def test_what_is_placed_when_all_of_it_was_shipped_is_covered() -> None:
    before = msgspec.structs.replace(COVERED, covered=False)
    assert advance_inbound_order(before, [reviewed(4, NOTHING_LEFT)]).covered
