"""Whatever a computer's clock does, and however often, no reservation ends before what was promised of it."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from branch_node.clock.clock_settlement import HEAD_OFFICE, SettleClock
from branch_node.database.order_verification import verify_orders
from branch_node.database.reservation_verification import verify_reservations
from branch_node.database.verification import verify_projection
from shared.event_record import moment_text
from shared.runtime.client import ServiceClient
from shared.runtime.clock import DAY, MINUTE, SECOND
from tests.support.computer import HOUR, YEAR, Computer, with_milk

LINES = [{"item_id": "milk", "quantity": 1}, {"item_id": "cup", "quantity": 2}]
ACTS = st.one_of(
    st.tuples(st.just("reserve"), st.sampled_from([10 * MINUTE, HOUR, 10 * DAY, 60 * DAY])),
    st.tuples(st.just("restate"), st.sampled_from([10 * MINUTE, 10 * DAY])),
    st.tuples(st.just("confirm"), st.just(0)),
    st.tuples(st.just("release"), st.just(0)),
    st.tuples(st.just("pass"), st.sampled_from([3 * MINUTE, 20 * MINUTE])),
    st.tuples(st.just("jump"), st.sampled_from([YEAR, -YEAR, -DAY, DAY])),
    st.tuples(st.just("restart"), st.sampled_from([0, HOUR, 20 * DAY])),
    st.tuples(st.just("replace clock"), st.sampled_from([YEAR, 20 * DAY, -20 * DAY, -YEAR, 0])),
    st.tuples(st.just("settle"), st.sampled_from(["manager-1", HEAD_OFFICE])),
)


class Promises:
    """By order: its reservation, its revision and until when it is promised, by the true time."""

    def __init__(self) -> None:
        self.ends: dict[str, int] = {}
        self.revisions: dict[str, int] = {}
        self.ids: dict[str, str] = {}

    def must_last(self, true_time: int) -> set[str]:
        return {self.ids[name] for name, end in self.ends.items() if true_time < end}


@settings(max_examples=12, deadline=None)
@given(acts=st.lists(ACTS, min_size=4, max_size=18))
def test_nothing_ends_before_its_promised_time(acts: list[tuple[str, Any]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        computer, promises, wrong_by, acts = Computer(Path(folder) / "branch"), Promises(), 0, list(acts)
        with computer.started() as client:
            with_milk(client)
            client.put("/v1/items/cup", {"name": "Cup", "unit": "pcs"})
            for item_id in ("milk", "cup"):
                client.post("/v1/events", {"type": "PURCHASE_RECEIVED", "item_id": item_id, "quantity": 500})
        while acts:
            with computer.started(wrong_by=wrong_by) as client:
                off, replaced = _play(computer, client, promises, acts)
                # What nothing was recorded after, no later process knows of.
                client.post("/v1/events", {"type": "PURCHASE_RECEIVED", "item_id": "milk", "quantity": 1})
                wrong_by = computer.clock.wall - computer.true_time if replaced is None else replaced
            computer.pass_time(off)
        with computer.node.store.reading() as connection:
            assert verify_projection(connection, "BEY-01", lambda _: None) == []
            assert verify_reservations(connection, lambda _: None) == []
            assert verify_orders(connection, lambda _: None) == []


def _play(
    computer: Computer, client: ServiceClient, promises: Promises, acts: list[tuple[str, Any]]
) -> tuple[int, int | None]:
    """Play until the computer is switched off: for how long, and how far its clock is ahead then, if it is another."""
    while True:
        active = {
            each["reservation_id"]: each
            for each in client.get("/v1/reservations", state="ACTIVE", limit=1_000)["items"]
        }
        assert promises.must_last(computer.true_time) <= active.keys()
        if client.get("/v1/clock")["confirmed"] and computer.clock.wall == computer.true_time:
            for name, end in promises.ends.items():
                if promises.ids[name] in active:
                    assert active[promises.ids[name]]["expires_at"] >= moment_text(end)
        for item_id in ("milk", "cup"):
            kept = sum(line["open"] for each in active.values() for line in each["lines"] if line["item_id"] == item_id)
            assert client.get(f"/v1/stock/{item_id}")["reserved"] == kept
        if not acts:
            return 0, None
        act, given = acts.pop(0)
        lasting = [name for name in promises.ends if computer.true_time < promises.ends[name]]
        if act == "reserve" or (act == "restate" and lasting):
            name = f"order-{len(promises.ends)}" if act == "reserve" else lasting[0]
            revision = promises.revisions[name] = promises.revisions.get(name, 0) + 1
            body = {"order_id": name, "revision": revision, "lines": LINES, "expires_in": given // SECOND}
            promises.ids[name] = client.post("/v1/reservations", body)["reservation_id"]
            promises.ends[name] = computer.true_time + given
        elif act == "confirm" and lasting:
            lines = [{"item_id": "cup", "quantity": 1}]
            reservation_id = promises.ids[lasting[0]]
            if any(each["item_id"] == "cup" and each["open"] for each in active[reservation_id]["lines"]):
                client.post(f"/v1/reservations/{reservation_id}/confirm", {"lines": lines, "rest": "keep"})
        elif act == "release" and lasting:
            client.post(f"/v1/reservations/{promises.ids[lasting[-1]]}/release", {"reason": "unwanted"})
            del promises.ends[lasting[-1]]
        elif act == "pass":
            computer.pass_time(given)
        elif act == "jump":
            computer.clock.wall += given
        elif act == "settle":
            computer.correct()
            measured = computer.node.clock.measure(computer.true_time, 0.0)
            assert measured is not None
            computer.node.writer.submit(SettleClock(computer.node.clock, measured, by=given)).result(20)
        elif act == "restart":
            return given, None
        elif act == "replace clock":
            return HOUR, given
