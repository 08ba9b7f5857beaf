"""The result of one step of the shipper or the puller."""

from __future__ import annotations

from enum import StrEnum

import msgspec


class StepOutcome(StrEnum):
    """What a step did. WAITING: nothing, it is not time yet. STOPPED: head office's verdict stops shipping."""

    GREETED = "GREETED"
    SHIPPED = "SHIPPED"
    PULLED = "PULLED"
    IDLE = "IDLE"
    WAITING = "WAITING"
    STOPPED = "STOPPED"
    FAILED = "FAILED"


class StepResult(msgspec.Struct, frozen=True):
    """One bounded piece of work done. `wait`: seconds until the next is worth doing, 0 for at once.

    `wakes`: a new commit is reason enough to step sooner. `count` is the events shipped or instructions taken.
    """

    outcome: StepOutcome
    wait: float = 0.0
    wakes: bool = False
    count: int = 0
