"""The shipper: sends hello, ships the log in order, and handles every answer (DESIGN section 4).

`step()` does one bounded piece of work, without a thread and without sleeping; `sync_agent` runs it in a loop, the
simulation calls it. The position it ships from is head office's head as far as this node knows it. Head office skips
events that it has, so after any doubtful answer the shipper sends hello and ships again from the head it receives.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Final

import msgspec

from branch_node.clock.clock_settlement import HEAD_OFFICE, SettleClock
from branch_node.sync.command_recorders import CommandRecorder
from branch_node.sync.head_office_contact import HeadOfficeContact
from branch_node.sync.hello_verdict import SHIPPING, VERDICT_HINTS, local_verdict
from branch_node.sync.log_reader import BATCH_EVENTS, LogHasHole, LogReader, PackedBatch
from branch_node.sync.shipping_status import ShippingState, StatusBoard
from branch_node.sync.step_result import StepOutcome, StepResult
from shared import wire
from shared.chain import EMPTY, Head
from shared.events import SCHEMA_VERSION
from shared.messages import PROTOCOL_VERSION, EventsAnswer, HeadMessage, Hello, HelloAnswer, Verdict
from shared.runtime.client import RemoteProblem, ServiceClient, Unreachable
from shared.runtime.clock import SECOND, NodeClock
from shared.runtime.retry import Backoff
from shared.runtime.telemetry import get_logger

log = get_logger("larder.shipper")

HELLO_EVERY: Final = 30.0
HELLO_BOUNDS: Final = (1.0, 3_600.0)
EVENTS_TIMEOUT: Final = 30.0

DAMAGED_HINT: Final = (
    "Copy the whole folder away before anything else, then run 'larder branch verify'. Recording goes on meanwhile."
)

_VERDICTS: Final = {
    "forked": Verdict.FORKED,
    "superseded": Verdict.SUPERSEDED,
    "rolled-back": Verdict.ROLLED_BACK,
    "upgrade-required": Verdict.UPGRADE_REQUIRED,
}
_hello_answer: Final = msgspec.json.Decoder(HelloAnswer).decode
_events_answer: Final = msgspec.json.Decoder(EventsAnswer).decode


class Shipper:
    """Ships one location's log. Not thread-safe: one thread, or the simulation, calls `step`.

    `on_hello` is called after each hello that allows shipping, with head office's answer. `prefetch` packs the next
    batch while the last one is in flight; None (the simulation): batches are packed when they are sent.
    """

    def __init__(
        self,
        *,
        location_id: str,
        log_reader: LogReader,
        client: ServiceClient,
        clock: NodeClock,
        recorder: CommandRecorder,
        board: StatusBoard,
        backoff: Backoff,
        software: str,
        prefetch: Executor | None = None,
        on_hello: Callable[[HelloAnswer, Verdict], None] | None = None,
    ) -> None:
        self._location_id = location_id
        self._log = log_reader
        self._client = client
        self._clock = clock
        self._recorder = recorder
        self._contact = HeadOfficeContact(board, recorder, clock)
        self._backoff = backoff
        self._software = software
        self._executor = prefetch
        self._on_hello = on_hello
        self._position: Head | None = None
        self._prefetched: Future[PackedBatch | None] | None = None
        self._limit = BATCH_EVENTS
        self._hello_every = HELLO_EVERY
        self._hello_at = clock.monotonic()

    def request_hello(self) -> None:
        """Send hello with the next step: head office may be reachable again, gone, or restored."""
        self._hello_at = self._clock.monotonic()

    def step(self) -> StepResult:
        """Send hello if it is due, else ship one batch."""
        if self._clock.monotonic() >= self._hello_at:
            return self._hello()
        position = self._position
        if position is None:
            return StepResult(StepOutcome.WAITING, self._until_hello())
        return self._ship(position)

    # Hello

    def _hello(self) -> StepResult:
        head, acknowledged = self._log.head(), self._contact.acknowledged
        message = Hello(
            location_id=self._location_id,
            head=_message(head),
            acknowledged=None if acknowledged is None else _message(acknowledged),
            protocol=PROTOCOL_VERSION,
            schema=SCHEMA_VERSION,
            software=self._software,
            now=self._clock.now(),
            open_counts=self._log.open_counts(),
        )
        sent_at = self._clock.monotonic()
        try:
            raw = self._client.request("POST", "/v1/sync/hello", content=msgspec.json.encode(message)).body
            answer = _hello_answer(raw)
            remote_hash = bytes.fromhex(answer.head.hash)
        except (Unreachable, RemoteProblem) as error:
            return self._failed(error)
        except (msgspec.MsgspecError, ValueError) as error:
            return self._failed(Unreachable(f"{self._client.base_url}: no answer of a head office ({error})"))
        self._backoff.succeeded()
        low, high = HELLO_BOUNDS
        self._hello_every = min(max(float(answer.hello_every_seconds), low), high)
        corrected = self._settle_clock(answer.time, self._clock.monotonic() - sent_at)
        self._contact.publish_quarantine(answer.quarantined)
        verdict = local_verdict(answer, self._log.hash_at(answer.head.sequence), acknowledged)
        if verdict not in SHIPPING:
            return self._stop(verdict, answer.detail, answer.upgrade)
        remote_head = Head(answer.head.epoch, answer.head.sequence, remote_hash)
        if verdict is Verdict.REWIND:
            log.warning("head office was restored; shipping again from its head", sequence=remote_head.sequence)
        self._position = remote_head
        self._contact.acknowledged = remote_head
        # Head office learns soon that a wrong clock is right.
        self._hello_at = self._clock.monotonic() + (HELLO_BOUNDS[0] if corrected else self._hello_every)
        self._contact.publish(ShippingState.OK, answer.detail, contact=True)
        self._contact.save()
        if self._on_hello is not None:
            self._on_hello(answer, verdict)
        return StepResult(StepOutcome.GREETED)

    def _settle_clock(self, time: int, round_trip: float) -> bool:
        """Settle the clock by head office's time, if need be; whether it was wrong."""
        measured = self._clock.measure(time, round_trip)
        if measured is None or not self._clock.needs(measured):
            return False
        self._recorder.record_later(SettleClock(self._clock, measured, by=HEAD_OFFICE))
        return abs(measured.correction) > self._clock.TOLERANCE

    # Events

    def _ship(self, position: Head) -> StepResult:
        try:
            packed = self._packed(position)
        except LogHasHole as hole:
            return self._damaged(hole)
        if packed is None:
            return self._idle()
        if self._executor is not None and packed.full:
            self._prefetched = self._executor.submit(self._log.pack, packed.head, self._limit)
        try:
            raw = self._client.request(
                "POST",
                "/v1/sync/events",
                content=packed.body,
                headers={"Content-Type": wire.CONTENT_TYPE},
                wait=EVENTS_TIMEOUT,
            ).body
            answer = _events_answer(raw)
        except RemoteProblem as problem:
            return self._batch_rejected(problem, packed)
        except Unreachable as error:
            return self._failed(error)
        except msgspec.MsgspecError as error:
            return self._failed(Unreachable(f"{self._client.base_url}: no answer of a head office ({error})"))
        return self._batch_accepted(position, packed, answer)

    def _packed(self, position: Head) -> PackedBatch | None:
        prefetched, self._prefetched = self._prefetched, None
        if prefetched is not None:
            packed = prefetched.result()
            # A prefetched batch is valid only if head office accepted the whole batch before it.
            if packed is not None and packed.after == position.sequence:
                return packed
        return self._log.pack(position, self._limit)

    def _batch_accepted(self, position: Head, packed: PackedBatch, answer: EventsAnswer) -> StepResult:
        head = answer.head
        own_hash = packed.head.hash if head.sequence == packed.head.sequence else self._log.hash_at(head.sequence)
        if own_hash is None:
            return self._stop(Verdict.ROLLED_BACK, f"head office is at {head.sequence}, beyond this node's log", None)
        if own_hash.hex() != head.hash:
            return self._stop(Verdict.FORKED, f"head office has another event {head.sequence}", None)
        if head.sequence <= position.sequence:
            # Without progress the same batch would be sent for ever.
            return self._failed(Unreachable("head office took a batch and its head did not move"))
        self._backoff.succeeded()
        self._limit = min(BATCH_EVENTS, self._limit * 2)
        self._position = Head(head.epoch, head.sequence, own_hash)
        self._contact.acknowledged = self._position
        self._contact.publish_quarantine(answer.quarantined)
        self._contact.publish_progress()
        return StepResult(StepOutcome.SHIPPED, count=head.sequence - position.sequence)

    def _idle(self) -> StepResult:
        return StepResult(StepOutcome.IDLE, min(self._until_hello(), self._contact.save_if_due()), wakes=True)

    def _batch_rejected(self, problem: RemoteProblem, packed: PackedBatch) -> StepResult:
        if problem.code in _VERDICTS:
            return self._stop(_VERDICTS[problem.code], problem.detail or problem.title, None)
        if problem.code == "gap":
            return self._gap(problem)
        if problem.status in {408, 413} and packed.events > 1:
            self._limit = max(1, packed.events // 2)
            return StepResult(StepOutcome.FAILED)
        return self._failed(problem)

    def _gap(self, problem: RemoteProblem) -> StepResult:
        """Head office lacks events before the batch: ship from its head, or send hello where that is a step back."""
        expected = problem.extras.get("expected_sequence")
        known = self._contact.acknowledged or EMPTY
        own_hash = self._log.hash_at(expected - 1) if isinstance(expected, int) and expected > 0 else None
        if own_hash is None or not isinstance(expected, int) or expected - 1 < known.sequence:
            self._position = None
            self.request_hello()
            return StepResult(StepOutcome.FAILED, self._backoff.failed())
        moved = Head(known.epoch, expected - 1, own_hash)
        if self._position is not None and moved.sequence == self._position.sequence:
            return self._failed(problem)
        self._position = moved
        return StepResult(StepOutcome.FAILED)

    # Outcomes

    def _stop(self, verdict: Verdict, detail: str | None, upgrade: str | None) -> StepResult:
        """Stop shipping on a verdict. Recording goes on, and so does hello, so that a repair is noticed."""
        text = " ".join(part for part in (detail, f"To be upgraded: {upgrade}." if upgrade else None) if part)
        self._position = None
        self._hello_at = self._clock.monotonic() + self._hello_every
        self._contact.publish(ShippingState(verdict.value), text or None, hint=VERDICT_HINTS[verdict], contact=True)
        self._contact.save()
        return StepResult(StepOutcome.STOPPED, self._until_hello())

    def _damaged(self, hole: LogHasHole) -> StepResult:
        """Stop shipping at a hole in the own log. Events before it are shipped, and recording goes on."""
        self._position = None
        self._hello_at = self._clock.monotonic() + self._hello_every
        self._contact.publish(ShippingState.DAMAGED, str(hole), hint=DAMAGED_HINT)
        return StepResult(StepOutcome.STOPPED, self._until_hello())

    def _failed(self, error: Unreachable | RemoteProblem) -> StepResult:
        """Wait after a failure; the next attempt begins with hello."""
        wait = self._backoff.failed()
        state, hint = ShippingState.UNREACHABLE, None
        if isinstance(error, RemoteProblem) and not error.temporary:
            unauthorized = error.status in {401, 403}
            state = ShippingState.UNAUTHORIZED if unauthorized else ShippingState.REFUSED
            hint = error.hint or None
            if unauthorized:
                hint = "Have head office issue a key for this location, and give it to 'larder branch init --key'."
        if isinstance(error, RemoteProblem):
            text = str(error.extras.get("retry_after", ""))
            wait = max(wait, min(float(text), 300.0)) if text.isdigit() else wait
        self._position = None
        self._hello_at = self._clock.monotonic() + wait
        self._contact.publish(state, str(error), hint=hint, next_try_at=self._clock.now() + int(wait * SECOND))
        return StepResult(StepOutcome.FAILED, wait)

    def _until_hello(self) -> float:
        return max(0.0, self._hello_at - self._clock.monotonic())


def _message(head: Head) -> HeadMessage:
    return HeadMessage(head.epoch, head.sequence, head.hash.hex())
