"""The shipper's record of its contact with head office: published on the status board, persisted now and then."""

from __future__ import annotations

from typing import Final

from branch_node.sync.command_recorders import CommandRecorder
from branch_node.sync.shipping_status import NEEDS_A_PERSON, ShippingState, StatusBoard
from branch_node.sync.sync_state import SaveContact
from shared.messages import QuarantineMessage
from shared.runtime.clock import NodeClock
from shared.runtime.telemetry import get_logger

log = get_logger("larder.shipper")

SAVE_EVERY: Final = 1.0
"""Seconds between writes of the acknowledged head, which serves only to detect a restored head office."""


class HeadOfficeContact:
    """The last acknowledged head, and the state of shipping. Used by the shipper's thread alone."""

    def __init__(self, board: StatusBoard, recorder: CommandRecorder, clock: NodeClock) -> None:
        self._board = board
        self._recorder = recorder
        self._clock = clock
        self._saved_at = clock.monotonic()
        self._unsaved = False
        self.acknowledged = board.read().acknowledged
        """The last head that head office acknowledged to this node, None where it never did."""

    def publish(
        self,
        state: ShippingState,
        detail: str | None,
        *,
        hint: str | None = None,
        next_try_at: int | None = None,
        contact: bool = False,
    ) -> None:
        """Replace the status on the board, and log a change of state. `contact`: head office has just answered."""
        before = self._board.read()
        fields: dict[str, object] = {"last_contact_at": self._clock.now()} if contact else {}
        self._board.change(
            state=state, detail=detail, hint=hint, acknowledged=self.acknowledged, next_try_at=next_try_at, **fields
        )
        if before.state is state:
            return
        if state in NEEDS_A_PERSON:
            log.error("shipping stopped", state=state.value, detail=detail, hint=hint)
        elif state is ShippingState.OK:
            log.info("shipping", head_office=before.head_office)
        else:
            log.warning("head office cannot be reached", detail=detail)

    def publish_quarantine(self, quarantined: QuarantineMessage | None) -> None:
        """Publish which events head office has in quarantine, and log a change. None: an older head office."""
        before = self._board.read().quarantined
        if quarantined is None or quarantined == before:
            return
        self._board.change(quarantined=quarantined)
        if quarantined.count:
            log.warning("head office cannot fold events", count=quarantined.count, sequences=quarantined.sequences)
        elif before is not None:
            log.info("head office folded the events of its quarantine")

    def publish_progress(self) -> None:
        """Publish an accepted batch, and persist it if the last time is long enough ago."""
        self.publish(ShippingState.OK, self._board.read().detail, contact=True)
        self._unsaved = True
        self.save_if_due()

    def save_if_due(self) -> float:
        """Persist progress if it is due; the seconds until it will be, infinity where all is persisted."""
        if not self._unsaved:
            return float("inf")
        remaining = self._saved_at + SAVE_EVERY - self._clock.monotonic()
        if remaining > 0:
            return remaining
        self.save()
        return float("inf")

    def save(self) -> None:
        """Persist the acknowledged head, the time of contact and the state."""
        status = self._board.read()
        at = status.last_contact_at or self._clock.now()
        self._recorder.record_later(
            SaveContact(acknowledged=self.acknowledged, at=at, verdict=status.state.value, detail=status.detail)
        )
        self._saved_at = self._clock.monotonic()
        self._unsaved = False
