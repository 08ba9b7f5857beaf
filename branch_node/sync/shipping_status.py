"""The state of shipping, written by the agent, read by the status route, the pages and the metrics."""

from __future__ import annotations

import threading
from enum import StrEnum

import msgspec

from shared.chain import Head
from shared.messages import QuarantineMessage


class ShippingState(StrEnum):
    """The state of shipping. SUPERSEDED to UPGRADE_REQUIRED are hello's verdicts: shipping and instructions stop.

    DAMAGED: events are missing in this branch's own log, so nothing after them can be shipped.
    """

    NO_HEAD_OFFICE = "NO_HEAD_OFFICE"
    STOPPED = "STOPPED"
    CONNECTING = "CONNECTING"
    OK = "OK"
    UNREACHABLE = "UNREACHABLE"
    UNAUTHORIZED = "UNAUTHORIZED"
    REFUSED = "REFUSED"
    SUPERSEDED = "SUPERSEDED"
    ROLLED_BACK = "ROLLED_BACK"
    FORKED = "FORKED"
    UPGRADE_REQUIRED = "UPGRADE_REQUIRED"
    DAMAGED = "DAMAGED"


NEEDS_A_PERSON = frozenset(
    {
        ShippingState.UNAUTHORIZED,
        ShippingState.REFUSED,
        ShippingState.SUPERSEDED,
        ShippingState.ROLLED_BACK,
        ShippingState.FORKED,
        ShippingState.UPGRADE_REQUIRED,
        ShippingState.DAMAGED,
    }
)
"""States that end only after somebody acted."""


class ShippingStatus(msgspec.Struct, frozen=True, kw_only=True):
    """A snapshot. Times are microseconds UTC; `acknowledged` is the last head that head office acknowledged.

    `recording` is false only where the witness showed at start that this database was rolled back. `quarantined`: the
    events of this log in head office's quarantine by its last answer, None before the first one.
    """

    state: ShippingState
    detail: str | None = None
    hint: str | None = None
    acknowledged: Head | None = None
    last_contact_at: int | None = None
    next_try_at: int | None = None
    head_office: str | None = None
    recording: bool = True
    quarantined: QuarantineMessage | None = None


class StatusBoard:
    """The current status, shared between threads: the agent writes it, routes, pages and metrics read it."""

    def __init__(self, first: ShippingStatus) -> None:
        self._lock = threading.Lock()
        self._status = first

    def read(self) -> ShippingStatus:
        return self._status

    def change(self, **fields: object) -> ShippingStatus:
        """Replace the given fields; the new snapshot."""
        with self._lock:
            self._status = msgspec.structs.replace(self._status, **fields)
            return self._status
