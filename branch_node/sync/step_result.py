"""The result of one step of the shipper or the puller."""

from __future__ import annotations

from enum import StrEnum

import msgspec


class StepOutcome(StrEnum):
    """What a step did. WAITING: nothing is due yet. STOPPED: a verdict of hello stops shipping."""

    GREETED = "GREETED"
    SHIPPED = "SHIPPED"
    PULLED = "PULLED"
    IDLE = "IDLE"
    WAITING = "WAITING"
    STOPPED = "STOPPED"
    FAILED = "FAILED"


class StepResult(msgspec.Struct, frozen=True):
    """The result of one bounded piece of work. `wait`: seconds until the next step, 0 for at once.

    `wakes`: a new commit ends the wait. `count`: events shipped, catalogue entries or instructions processed.
    """

    outcome: StepOutcome
    wait: float = 0.0
    wakes: bool = False
    count: int = 0
