"""Which events were recorded at a wrong time, by the runs of the node's time and the true time now. Pure.

What was wrong before a run follows from when it began: an event cannot have been recorded later than that.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from branch_node.model import ClockRun, RunKind
from shared.runtime.clock import NodeClock

TOLERANCE: Final = NodeClock.TOLERANCE


class WrongStretch(msgspec.Struct, frozen=True, kw_only=True):
    """Events recorded at a wrong time; `correction` (microseconds) is to be added to it."""

    first_sequence: int
    last_sequence: int
    correction: int


def wrong_stretches(
    runs: Sequence[ClockRun], *, after: int, head: int, correction: int, recorded_at: Callable[[int], int]
) -> list[WrongStretch]:
    """The stretches after the event `after` that were recorded at a wrong time, the newest first.

    `runs` are those after it, in order; `correction` is what the true time is ahead of the present run's. `head` is
    the newest event, `recorded_at` when an event was recorded, by the node's time then.
    """
    found: list[WrongStretch] = []
    end = head
    for number in reversed(range(len(runs))):
        run = runs[number]
        _add(found, run.first_sequence, end, correction)
        end = run.first_sequence - 1
        if end <= after:
            return found
        if run.kind is RunKind.SETTLEMENT:
            correction += run.correction
            continue
        before = runs[number - 1] if number else None
        holds_none = before is not None and before.first_sequence == run.first_sequence
        newest = before.started_at if before is not None and holds_none else recorded_at(end)
        began = run.started_at + correction
        if newest <= began + TOLERANCE:
            correction = 0  # the run before may have been right
        elif run.kind is RunKind.JUMP or abs(correction) <= TOLERANCE:
            correction = began - newest
    _add(found, after + 1, end, correction)
    return found


def _add(found: list[WrongStretch], first: int, last: int, correction: int) -> None:
    if first <= last and abs(correction) > TOLERANCE:
        found.append(WrongStretch(first_sequence=first, last_sequence=last, correction=correction))
