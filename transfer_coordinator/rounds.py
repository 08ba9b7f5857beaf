"""One round in the database: everything that waited, decided and written in one transaction."""

from __future__ import annotations

from transfer_coordinator import callers, driving, hearing
from transfer_coordinator.draft import Draft
from transfer_coordinator.inbox import Work


def run(draft: Draft, work: Work, *, sweep: bool, doubtful: bool) -> None:
    """Do all of `work` on the draft; with `sweep` also what is due by the clock.

    `doubtful`: the last round failed, and whether it was committed is not known.
    """
    if doubtful:
        driving.read_again(draft)
    strangers = hearing.hear(draft, work.pages)
    callers.create(draft, work.creates)
    wanted = callers.cancel(draft, work.cancels)
    wanted |= hearing.look_up(draft, strangers)
    hearing.go_above(draft, work.answers)
    driving.take(draft, sorted(name for name in wanted if draft.at(name) is None), sweep=sweep)
    if sweep:
        driving.renew(draft)
    driving.decide(draft, sweep=sweep)
    callers.tell(draft, work.cancels)
