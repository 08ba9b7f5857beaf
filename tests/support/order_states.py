"""The state of every order as the log alone gives it: what the tables are compared with."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from branch_node.commands.orders import ORDER
from branch_node.model import OrderState
from branch_node.order_states import CANCEL
from shared.events import Event, EventType


def derive(events: Iterable[Event]) -> dict[tuple[str, str], OrderState]:
    """The state of every order, by (order id, source), read from a whole log in order. For rebuilds and checks."""
    states: dict[tuple[str, str], OrderState] = {}
    voided: set[int] = set()
    for event in events:
        if event.voided_sequence is not None:
            voided.add(event.voided_sequence)
        reference = event.reference
        if reference is None or reference.revision is None or reference.kind not in {ORDER, CANCEL}:
            continue
        if event.reservation_id is not None or event.type is EventType.ORDER_CANCELLED:
            continue  # a reservation for the order says nothing of what was sold, nor does that none is made any more
        place = (reference.id, event.source)
        state = states.get(place) or OrderState(
            order_id=reference.id,
            source=event.source,
            revision=reference.revision,
            cancelled=False,
            occurred_at=event.occurred_at,
            stated_at=event.sequence,
            sequences=(),
        )
        sequences = state.sequences
        if reference.kind == ORDER:
            # A revision keeps no line that is voided by then, by itself or by a manager.
            sequences = tuple(each for each in sequences if each not in voided)
        occurred_at = state.occurred_at
        if event.type is EventType.ORDER_DEDUCTION:
            sequences = (*sequences, event.sequence)
            occurred_at = event.occurred_at
        states[place] = msgspec.structs.replace(
            state,
            revision=reference.revision,
            cancelled=reference.kind == CANCEL,
            occurred_at=occurred_at,
            stated_at=event.sequence if event.line == 1 else state.stated_at,
            sequences=sequences,
        )
    return states
