"""The puller: takes the catalogue and the instructions from head office (DESIGN 4.5 and 5).

`step()` does one bounded piece of work. Nothing is pulled while shipping is stopped: a log that diverged must not be
extended by decisions, so instructions and receipts wait for the recovery. The cursors of the instructions, of
transfers and of orders, are kept in memory only: head office sends those that the log does not answer yet, so a restart
from 0 costs little and loses nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec

from branch_node.sync.catalogue_update import ApplyCatalogue, CatalogueIds
from branch_node.sync.command_recorders import CommandRecorder
from branch_node.sync.instruction_execution import execute
from branch_node.sync.log_reader import LogReader
from branch_node.sync.shipping_status import ShippingState, StatusBoard
from branch_node.sync.step_result import StepOutcome, StepResult
from shared.catalogue_messages import CATALOGUE_START, CatalogueDiverged, CataloguePage, read_catalogue_page
from shared.orders.order_instructions import BranchInstructions
from shared.runtime.client import RemoteProblem, ServiceClient, Unreachable
from shared.runtime.clock import Clock
from shared.runtime.problems import INVALID_REQUEST
from shared.runtime.retry import Backoff
from shared.runtime.telemetry import get_logger

log = get_logger("larder.puller")

LONG_POLL: Final = 25.0
"""Seconds an instruction poll waits at head office."""
CATALOGUE_EVERY: Final = 1.0
"""Seconds between catalogue requests while pages of instructions arrive without pause."""
EMPTY_POLL_PAUSE: Final = 0.5
"""Seconds before the next poll where head office answered an empty one at once."""

_page: Final = msgspec.json.Decoder(BranchInstructions).decode


class Puller:
    """Pulls for one location. Not thread-safe, but `restart` may be called from the shipper's thread.

    `long_poll` is in seconds, 0 in the simulation. `on_failure` is called when head office fails or refuses: the
    shipper's hello finds the cause. `keys_changed` is called after a change of API keys.
    """

    def __init__(
        self,
        *,
        location_id: str,
        log_reader: LogReader,
        client: ServiceClient,
        clock: Clock,
        recorder: CommandRecorder,
        board: StatusBoard,
        backoff: Backoff,
        long_poll: float = LONG_POLL,
        on_failure: Callable[[], None] | None = None,
        keys_changed: Callable[[], None] | None = None,
    ) -> None:
        self._location_id = location_id
        self._log = log_reader
        self._client = client
        self._clock = clock
        self._recorder = recorder
        self._board = board
        self._backoff = backoff
        self._long_poll = long_poll
        self._on_failure = on_failure
        self._keys_changed = keys_changed
        state = log_reader.sync_state()
        self._version, self._hash = state.catalogue_version, state.catalogue_hash
        self._seen: CatalogueIds | None = None
        """What was pulled so far, while the catalogue is pulled from its beginning once more."""
        self._catalogue_checked_at = clock.monotonic()
        self._catalogue_due = True
        self._pause = 0.0
        self._restart = True
        self._cursor = self._orders_cursor = 0
        self._asks_for_orders = True
        self._deferred: BranchInstructions | None = None

    def restart(self) -> None:
        """Make the next step request the catalogue, then every open instruction. Called after each hello."""
        self._restart = True

    def step(self) -> StepResult:
        """Pull one page of the catalogue if it is due, else one page of instructions, and execute them."""
        if self._board.read().state is not ShippingState.OK:
            self._deferred = None
            return StepResult(StepOutcome.WAITING, 1.0)
        if self._restart:
            self._restart, self._catalogue_due, self._deferred = False, True, None
            self._cursor = self._orders_cursor = 0
            self._asks_for_orders = True
        try:
            if self._catalogue_due:
                return self._pull_catalogue()
            if self._deferred is not None:
                return self._execute(self._deferred)
            return self._pull_instructions()
        except (Unreachable, RemoteProblem) as error:
            return self._failed(str(error))
        except msgspec.MsgspecError as error:
            return self._failed(f"{self._client.base_url}: no answer of a head office ({error})")

    def _failed(self, why: str) -> StepResult:
        log.warning("nothing can be pulled now", why=why)
        if self._on_failure is not None:
            self._on_failure()
        return StepResult(StepOutcome.FAILED, self._backoff.failed())

    # The catalogue

    def _pull_catalogue(self) -> StepResult:
        answer = self._client.request("GET", "/v1/sync/catalogue", params={"after": self._version, "limit": 1_000})
        try:
            page = read_catalogue_page(answer.body, self._version, self._hash)
        except CatalogueDiverged as diverged:
            if self._version == 0:
                return self._failed(f"the catalogue does not verify from its beginning: {diverged}")
            log.warning("this catalogue is not the one this node has; pulling it from the beginning", why=str(diverged))
            self._version, self._hash, self._seen = 0, CATALOGUE_START, CatalogueIds()
            return StepResult(StepOutcome.PULLED)
        if page.entries or self._seen is not None:
            refused = self._apply(page)
            if refused is not None:
                return self._failed(str(refused))
        self._backoff.succeeded()
        if page.more:
            return StepResult(StepOutcome.PULLED, count=len(page.entries))
        self._catalogue_due = False
        self._catalogue_checked_at = self._clock.monotonic()
        pause, self._pause = self._pause, 0.0
        return StepResult(StepOutcome.PULLED, pause, count=len(page.entries))

    def _apply(self, page: CataloguePage) -> BaseException | None:
        """Record the page; the exception that refused it, and then the cursor stays."""
        version, digest = self._version, self._hash
        if page.entries:
            version, digest = page.entries[-1].version, page.entries[-1].hash
        keep: CatalogueIds | None = None
        if self._seen is not None:
            self._seen.add(page.entries)
            keep = None if page.more else self._seen
        command = ApplyCatalogue(
            page.entries, version=version, digest=digest, keep=keep, keys_changed=self._keys_changed
        )
        (answer,) = self._recorder.record([command])
        if isinstance(answer, BaseException):
            return answer
        self._version, self._hash = version, digest
        if not page.more:
            self._seen = None
        return None

    # Instructions

    def _pull_instructions(self) -> StepResult:
        sent_at = self._clock.monotonic()
        params = {"after": self._cursor, "wait": int(self._long_poll), "catalogue_version": self._version}
        if self._asks_for_orders:
            params["orders_after"] = self._orders_cursor
        try:
            answer = self._client.request("GET", "/v1/sync/instructions", params=params, wait=self._long_poll)
        except RemoteProblem as problem:
            if problem.code != INVALID_REQUEST.code or not self._asks_for_orders:
                raise
            # A head office of before refuses what it does not know. After the next hello it is asked again.
            self._asks_for_orders = False
            return StepResult(StepOutcome.PULLED)
        page = _page(answer.body)
        self._backoff.succeeded()
        now = self._clock.monotonic()
        if not page.instructions and not page.orders:
            self._go_on_after(page)
            # An empty answer: the catalogue has changed, or the poll timed out.
            self._catalogue_due = True
            self._pause = EMPTY_POLL_PAUSE if now - sent_at < EMPTY_POLL_PAUSE else 0.0
            return StepResult(StepOutcome.IDLE)
        if self._has_unknown_items(page):
            # An item defined at head office a moment ago must not be refused because it was not pulled yet.
            self._deferred, self._catalogue_due = page, True
            return StepResult(StepOutcome.PULLED)
        self._catalogue_due = now - self._catalogue_checked_at >= CATALOGUE_EVERY
        return self._execute(page)

    def _has_unknown_items(self, page: BranchInstructions) -> bool:
        named = [(line.item_id, line.unit) for each in page.instructions for line in each.lines]
        named += [(line.item_id, line.unit) for each in page.orders for line in each.lines or ()]
        units = self._log.units(item_id for item_id, _ in named)
        return any(units.get(item_id) != unit for item_id, unit in named)

    def _execute(self, page: BranchInstructions) -> StepResult:
        """Submit the instructions to the writer. The recorded events are the answer."""
        self._deferred = None
        done = execute(self._recorder, self._location_id, page)
        if done.trouble is not None:
            return self._failed(done.trouble)
        self._go_on_after(page)
        return StepResult(StepOutcome.PULLED, count=done.recorded)

    def _go_on_after(self, page: BranchInstructions) -> None:
        self._cursor = _next_cursor(self._cursor, page.next)
        self._orders_cursor = _next_cursor(self._orders_cursor, page.orders_next)


def _next_cursor(cursor: int, told: int) -> int:
    """The cursor after a page. Where head office was restored its numbers went back: some below may be new ones."""
    return told if told >= cursor else 0
