"""One round: all queued work decided and written in one database transaction."""

from __future__ import annotations

from transfer_coordinator.worker import caller_requests, fact_intake, saga_driver
from transfer_coordinator.worker.mailboxes import Work
from transfer_coordinator.worker.round_draft import RoundDraft


def run(draft: RoundDraft, work: Work, *, sweep: bool, commit_unknown: bool) -> None:
    """Process all of `work` on the draft; with `sweep` also what is due by the clock.

    `commit_unknown`: the last round failed, and whether its transaction was committed is not known.
    """
    if commit_unknown:
        saga_driver.reload(draft)
    unheld = fact_intake.take_facts(draft, work.pages)
    caller_requests.create(draft, work.creates)
    wanted = caller_requests.cancel(draft, work.cancels)
    wanted |= fact_intake.take_unheld_facts(draft, unheld)
    fact_intake.raise_tokens(draft, work.answers)
    saga_driver.take(draft, sorted(name for name in wanted if draft.at(name) is None), sweep=sweep)
    if sweep:
        saga_driver.renew(draft)
    saga_driver.decide(draft, sweep=sweep)
    caller_requests.answer_cancels(draft, work.cancels)
