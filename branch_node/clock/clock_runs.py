"""The runs of a node's time, and which events were recorded at a wrong time once the true one is known. Pure.

A run is a stretch of the log in which the node's time went on unbroken, so that one correction holds for all its
events. What was wrong before a run follows from when it began: an event cannot have been recorded later than that.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from branch_node.model import RunKind
from shared.runtime.clock import NodeClock

TOLERANCE: Final = NodeClock.TOLERANCE


class ClockRun(msgspec.Struct, frozen=True, kw_only=True):
    """One run, from the event `first_sequence` on; `started_at` is by its own time, in microseconds UTC.

    `correction` of a settlement: what the settlement added to the time of the run before.
    """

    first_sequence: int
    started_at: int
    kind: RunKind
    correction: int = 0


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
    for run in reversed(runs):
        first = max(run.first_sequence, after + 1)
        _add(found, first, end, correction)
        end = first - 1
        if end <= after:
            return found
        if run.kind is RunKind.SETTLEMENT:
            correction += run.correction
            continue
        began, newest = run.started_at + correction, recorded_at(end)
        if newest <= began + TOLERANCE:
            return found  # the runs before may have been right
        if run.kind is RunKind.JUMP or abs(correction) <= TOLERANCE:
            correction = began - newest
    _add(found, after + 1, end, correction)
    return found


def _add(found: list[WrongStretch], first: int, last: int, correction: int) -> None:
    if first <= last and abs(correction) > TOLERANCE:
        found.append(WrongStretch(first_sequence=first, last_sequence=last, correction=correction))
