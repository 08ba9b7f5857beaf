"""One round in the database: everything that waited, decided and written in one transaction."""

from __future__ import annotations

from transfer_coordinator.worker import caller_requests, fact_intake, saga_driver
from transfer_coordinator.worker.mailboxes import Work
from transfer_coordinator.worker.round_draft import RoundDraft


def run(draft: RoundDraft, work: Work, *, sweep: bool, doubtful: bool) -> None:
    """Do all of `work` on the draft; with `sweep` also what is due by the clock.

    `doubtful`: the last round failed, and whether it was committed is not known.
    """
    if doubtful:
        saga_driver.read_again(draft)
    strangers = fact_intake.hear(draft, work.pages)
    caller_requests.create(draft, work.creates)
    wanted = caller_requests.cancel(draft, work.cancels)
    wanted |= fact_intake.look_up(draft, strangers)
    fact_intake.go_above(draft, work.answers)
    saga_driver.take(draft, sorted(name for name in wanted if draft.at(name) is None), sweep=sweep)
    if sweep:
        saga_driver.renew(draft)
    saga_driver.decide(draft, sweep=sweep)
    caller_requests.tell(draft, work.cancels)
