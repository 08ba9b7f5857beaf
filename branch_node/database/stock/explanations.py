"""The explanation of a figure: the count it starts from, the events after it, those that do not count and why."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import msgspec
from sqlalchemy import Connection

from branch_node.database.lookups import sealed_where
from branch_node.database.schema import LOG
from branch_node.database.stock.stock_figures import codes_of, item_row, stock_record
from branch_node.problems import ITEM_NOT_FOUND
from branch_node.records import BranchEventRecord, StockRecord, record_of
from shared.code_sums import merged_explanation
from shared.event_record import Number
from shared.events import quantity_json
from shared.periods import explain_period
from shared.projection import movements_of
from shared.stock import Explanation, Movement, ReasonNotCounted, Standing, Step, explain

SHOWN: Final = 1_000
_CHUNK: Final = 500


class ExplainedStep(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One event and the figures after it; on a count also what the fold expected there. `recorded_as`: its code."""

    event: BranchEventRecord
    recorded_as: str | None
    on_hand: Number
    reserved: Number
    expected: Number | None = None
    variance: Number | None = None


class LeftOut(msgspec.Struct, kw_only=True, omit_defaults=True):
    """An event that does not count in the figure, and why; `by_sequence` is that of the void or of the count."""

    event: BranchEventRecord
    reason: ReasonNotCounted
    by_sequence: int | None = None


class ExplanationRecord(msgspec.Struct, kw_only=True):
    """An item's stock and its explanation. Over a period [from, to) the steps are its movements from `opening`, counts
    among them, and the stock is that at its end. `steps` and `not_counted` have the newest thousand; `older_steps` and
    `older_not_counted` are the numbers of the others, which the figures of the first step include."""

    stock: StockRecord
    variance: Number
    start: ExplainedStep | None
    steps: list[ExplainedStep]
    older_steps: int
    not_counted: list[LeftOut]
    older_not_counted: int
    opening: Number | None = None


def explanation(
    connection: Connection,
    location_id: str,
    item_id: str,
    *,
    now: int,
    as_of: int | None = None,
    begin: int | None = None,
    end: int | None = None,
) -> ExplanationRecord:
    """Explain what stands of an item, now, as of a moment (microseconds UTC), or over a period in place of a moment.

    An end of the period that is not given is open. Raises 404 `item-not-found`.
    """
    if end is not None:
        as_of = end - 1
    meant, codes = codes_of(connection, item_id)
    item = item_row(connection, meant)
    movements = {code: movements_of(connection, LOG, location_id, code) for code in codes}
    if item is None and not any(movements.values()):
        raise ITEM_NOT_FOUND(f"there is no item {item_id!r}", item_id=item_id)
    # Now is as the projection counts: everything recorded. A reservation is over at its expiry all the same.
    latest = max((each.occurred_at for found in movements.values() for each in found), default=now)
    moment = max(now, latest) if as_of is None else as_of
    opening = None
    if begin is None and end is None:
        explained = merged_explanation({code: explain(found, as_of=moment) for code, found in movements.items()})
    else:
        over = explain_period(movements, begin=begin or 0, end=moment + 1)
        opening = over.opening.on_hand
        explained = Explanation(balance=over.closing, start=None, steps=over.steps, not_counted=over.not_counted)
    dropped = sorted(explained.not_counted, key=lambda each: each.movement.sequence)
    steps, left_out = explained.steps[-SHOWN:], dropped[-SHOWN:]
    shown = [*([explained.start] if explained.start is not None else []), *steps]
    records = _records(connection, [*(each.movement for each in shown), *(each.movement for each in left_out)])
    balance = explained.balance
    standing = Standing(balance.on_hand, balance.reserved, balance.last_count, recount=balance.recount)
    return ExplanationRecord(
        stock=stock_record(meant, standing, now if as_of is None else as_of, item),
        variance=quantity_json(balance.variance),
        start=_step(explained.start, records) if explained.start is not None else None,
        steps=[_step(each, records) for each in steps],
        older_steps=len(explained.steps) - len(steps),
        not_counted=[
            LeftOut(event=records[each.movement.sequence], reason=each.reason, by_sequence=each.by_sequence)
            for each in left_out
        ],
        older_not_counted=len(dropped) - len(left_out),
        opening=None if opening is None else quantity_json(opening),
    )


def _records(connection: Connection, movements: Iterable[Movement]) -> dict[int, BranchEventRecord]:
    sequences = sorted({each.sequence for each in movements})
    found: dict[int, BranchEventRecord] = {}
    for begin in range(0, len(sequences), _CHUNK):
        some: list[Any] = sequences[begin : begin + _CHUNK]
        for sealed in sealed_where(connection, LOG.event.c.sequence.in_(some)):
            found[sealed.event.sequence] = record_of(sealed)
    return found


def _step(step: Step, records: dict[int, BranchEventRecord]) -> ExplainedStep:
    shown = ExplainedStep(
        event=records[step.movement.sequence],
        recorded_as=records[step.movement.sequence].item_id,
        on_hand=quantity_json(step.on_hand),
        reserved=quantity_json(step.reserved),
    )
    if step.expected is not None and step.movement.counted is not None:
        shown.expected = quantity_json(step.expected)
        shown.variance = quantity_json(step.movement.counted - step.expected)
    return shown
