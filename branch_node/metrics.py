"""The gauges of a branch's node, computed at each scrape, so they are never stale."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final

from branch_node.sync.shipping_status import ShippingState, StatusBoard
from branch_node.writer.writer import Writer
from shared.runtime.clock import SECOND, NodeClock
from shared.runtime.problems import Problem
from shared.runtime.telemetry import Telemetry

UNKNOWN: Final = float("nan")


def add_gauges(
    telemetry: Telemetry, board: StatusBoard, writer: Writer, clock: NodeClock, unshipped: Callable[[], int]
) -> None:
    """Register the gauges of unshipped events, shipping, silence of head office, the writer and the clock."""

    def unshipped_events() -> float:
        try:
            return unshipped()
        except Problem:
            return UNKNOWN  # the database is unavailable, which the readiness check reports

    def silence() -> float:
        last = board.read().last_contact_at
        return UNKNOWN if last is None else max(0.0, (clock.now() - last) / SECOND)

    telemetry.gauge("unshipped_events", "Events head office has not acknowledged").set_function(unshipped_events)
    telemetry.gauge("head_office_silence_seconds", "Seconds since the last contact with head office").set_function(
        silence
    )
    telemetry.gauge("writer_waiting", "Requests in the writer's queue").set_function(writer.waiting)
    telemetry.gauge("writer_groups", "Transactions committed since the start").set_function(lambda: writer.groups)
    telemetry.gauge("writer_events", "Events recorded since the start").set_function(lambda: writer.events)
    telemetry.gauge("clock_confirmed", "1 while the clock is trusted").set_function(lambda: float(clock.confirmed))
    telemetry.gauge("recording", "0 where the database was found rolled back").set_function(
        lambda: float(board.read().recording)
    )
    states = telemetry.gauge("shipping_state", "1 for the state shipping is in", ["state"])
    for state in ShippingState:
        states.labels(state.value).set_function(partial(_is_in, board, state))


def _is_in(board: StatusBoard, state: ShippingState) -> float:
    return float(board.read().state is state)
