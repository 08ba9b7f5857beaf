"""What becomes of reservations where the node's clock is not to be trusted, and once it is settled."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from branch_node.clock.clock_settlement import HEAD_OFFICE, SettleClock
from branch_node.database.verification import verify_projection
from shared.event_record import moment_text
from shared.runtime.client import ServiceClient
from shared.runtime.clock import DAY, MINUTE, SECOND, SystemClock, parse_rfc3339
from tests.support.branch import PLACE
from tests.support.computer import HOUR, YEAR, Computer, with_milk
from tests.support.forked import run_larder
from tests.support.moved_clock import larder_ahead

FOREVER = 60 * DAY


@pytest.fixture(params=["sqlite", "postgresql"])
def computer(request: pytest.FixtureRequest, tmp_path: Path) -> Computer:
    url: str | None = None
    if request.param == "postgresql":
        url = request.getfixturevalue("postgres_url_factory")()
    return Computer(tmp_path / "branch", url)


def reserve(client: ServiceClient, name: str, length: int) -> dict[str, Any]:
    body = {"order_id": name, "lines": [{"item_id": "milk", "quantity": 1}], "expires_in": length // SECOND}
    made: dict[str, Any] = client.post("/v1/reservations", body, idempotency_key=f"key-{name}")
    return made


def settle(computer: Computer, by: str) -> None:
    computer.correct()
    measured = computer.node.clock.measure(computer.true_time, 0.0)
    assert measured is not None
    computer.node.writer.submit(SettleClock(computer.node.clock, measured, by=by)).result(20)


def found(client: ServiceClient, made: dict[str, Any]) -> tuple[str, str]:
    now = client.get(f"/v1/reservations/{made['reservation_id']}")
    return now["state"], now["expires_at"]


def reserved(client: ServiceClient) -> float:
    figure = client.get("/v1/stock/milk")["reserved"]
    assert figure == sum(each["reserved"] for each in client.get("/v1/stock")["items"] if each["item_id"] == "milk")
    active = client.get("/v1/reservations", state="ACTIVE", limit=1_000)["items"]
    assert figure == sum(line["open"] for each in active for line in each["lines"])
    return float(figure)


def expiries(client: ServiceClient) -> dict[str, str]:
    client.put("/v1/items/looked", {"name": "looked", "unit": "kg"})  # what has expired is recorded before
    events = client.get("/v1/events", type="RESERVATION_EXPIRED", limit=1_000)["items"]
    return {each["reservation_id"]: moment_text(_micros(each["occurred_at"])) for each in events}


def _micros(text: str) -> int:
    return parse_rfc3339(text)[0]


@pytest.mark.parametrize("by", ["manager-1", HEAD_OFFICE])
def test_a_start_a_year_ahead_ends_nothing(computer: Computer, by: str) -> None:
    with computer.started() as client:
        with_milk(client)
        computer.record("PURCHASE_RECEIVED", 5)
        long, short = reserve(client, "long", 2 * DAY), reserve(client, "short", 15 * MINUTE)
        stated = computer.true_time
    computer.pass_time(HOUR)
    with computer.started(wrong_by=YEAR) as client:
        assert not client.get("/v1/clock")["confirmed"]
        for made, left in ((long, 2 * DAY), (short, 15 * MINUTE)):
            assert found(client, made) == ("ACTIVE", moment_text(computer.true_time + YEAR + left))
        assert reserved(client) == 2
        fresh = reserve(client, "fresh", 30 * MINUTE)
        computer.pass_time(10 * MINUTE)
    # A start confirms nothing: it is the same wrong clock.
    computer.pass_time(HOUR)
    with computer.started(wrong_by=YEAR) as client:
        assert not client.get("/v1/clock")["confirmed"]
        assert [found(client, made)[0] for made in (long, short, fresh)] == ["ACTIVE"] * 3
        late = reserve(client, "late", 20 * MINUTE)
        computer.pass_time(5 * MINUTE)
        stated_late = computer.true_time - 5 * MINUTE
        settle(computer, by)
        assert client.get("/v1/clock")["confirmed"]
        assert found(client, long) == ("ACTIVE", moment_text(stated + 2 * DAY))
        assert found(client, late) == ("ACTIVE", moment_text(stated_late + 20 * MINUTE))
        assert [found(client, made)[0] for made in (short, fresh)] == ["EXPIRED"] * 2
        assert reserved(client) == 2
        # The same reservation, stated by a clock that is now known to have been a year ahead.
        ends = {short["reservation_id"]: stated + 15 * MINUTE, fresh["reservation_id"]: stated + HOUR + 30 * MINUTE}
        assert expiries(client) == {each: moment_text(end) for each, end in ends.items()}
        computer.pass_time(2 * DAY)
        assert reserved(client) == 0
    with computer.node.store.reading() as connection:
        assert verify_projection(connection, "BEY-01", lambda _: None) == []


def test_closed_for_40_days_with_a_right_clock(computer: Computer) -> None:
    with computer.started() as client:
        with_milk(client)
        computer.record("PURCHASE_RECEIVED", 5)
        before = reserve(client, "before", HOUR)
        stated = computer.true_time
    computer.pass_time(40 * DAY)
    with computer.started() as client:
        assert found(client, before)[0] == "ACTIVE"
        opened = reserve(client, "opened", HOUR)
        until = moment_text(computer.true_time + HOUR)
        computer.pass_time(10 * MINUTE)
        client.post("/v1/clock/confirm", {})
        assert found(client, before)[0] == "EXPIRED"
        assert found(client, opened) == ("ACTIVE", until) == (opened["state"], opened["expires_at"])
        assert expiries(client) == {before["reservation_id"]: moment_text(stated + HOUR)}


@pytest.mark.parametrize("stopped", [20 * MINUTE, 2 * HOUR])
def test_a_computer_that_lost_its_time(computer: Computer, stopped: int) -> None:
    """It goes on from the last recorded moment: what has passed meanwhile is known once the clock is settled."""
    with computer.started() as client:
        with_milk(client)
        computer.record("PURCHASE_RECEIVED", 5)
        made = reserve(client, "web-1", HOUR)
        until = computer.true_time + HOUR
    computer.pass_time(stopped)
    with computer.started(wrong_by=-YEAR) as client:
        assert found(client, made) == ("ACTIVE", moment_text(until))
        again = reserve(client, "web-2", HOUR)
        computer.pass_time(10 * MINUTE)
        settle(computer, HEAD_OFFICE)
        assert found(client, made) == ("ACTIVE" if stopped < HOUR else "EXPIRED", moment_text(until))
        assert found(client, again) == ("ACTIVE", moment_text(computer.true_time + 50 * MINUTE))


def test_a_jump_while_it_runs(computer: Computer) -> None:
    """The time goes on by the monotonic clock, so nothing ends early; a start after it does not confirm the jump."""
    with computer.started() as client:
        with_milk(client)
        computer.record("PURCHASE_RECEIVED", 5)
        made, until = reserve(client, "web-1", HOUR), computer.true_time + HOUR
        computer.clock.wall += DAY
        computer.pass_time(10 * MINUTE)
        assert not client.get("/v1/clock")["confirmed"]
        assert found(client, made) == ("ACTIVE", moment_text(until))
        computer.record("ORDER_DEDUCTION", 1)
    with computer.started(wrong_by=DAY) as client:
        assert not client.get("/v1/clock")["confirmed"]
        assert found(client, made)[0] == "ACTIVE"
        settle(computer, "manager-1")
        assert found(client, made) == ("ACTIVE", moment_text(until))


def test_processes_with_a_clock_400_days_ahead(tmp_path: Path) -> None:
    """Killed and started again by the wrong clock, until a person says the time."""
    folder = tmp_path / "node"
    made = run_larder("branch", "init", "--dir", folder, "--location", PLACE, "--json")
    key = json.loads(made.stdout)["key"]
    kept: dict[str, int] = {}
    serve = ("branch", "serve", "--dir", folder, "--port", "0")
    for life, ahead in enumerate((0, 400 * DAY, 400 * DAY, 0)):
        with larder_ahead(ahead, *serve, output=tmp_path / f"{life}.log") as node:
            url, headers = node.wait_for(r"ready on (http://\S+)")[1], {"Authorization": f"Bearer {key}"}
            with httpx.Client(base_url=url, headers=headers, timeout=20) as client:
                if life == 0:
                    assert client.put("/v1/items/milk", json={"name": "Milk", "unit": "l"}).status_code == 200
                    bought = {"type": "PURCHASE_RECEIVED", "item_id": "milk", "quantity": 5}
                    assert client.post("/v1/events", json=bought).status_code == 201
                assert client.get("/v1/clock").json()["confirmed"] == (ahead == 0)
                for reservation_id in kept:
                    assert client.get(f"/v1/reservations/{reservation_id}").json()["state"] == "ACTIVE"
                assert client.get("/v1/stock/milk").json()["available"] == 5 - len(kept)
                if life < 2:
                    body = {
                        "order_id": f"web-{life}",
                        "lines": [{"item_id": "milk", "quantity": 1}],
                        "expires_in": 3600,
                    }
                    answer = client.post("/v1/reservations", json=body)
                    assert answer.status_code == 201, answer.text
                    kept[answer.json()["reservation_id"]] = _micros(answer.json()["expires_at"]) - ahead
                if life == 2:
                    now = moment_text(SystemClock().now())
                    assert client.post("/v1/clock/confirm", json={"now": now}).json()["confirmed"]
                if life >= 2:
                    for reservation_id, until in kept.items():
                        found = client.get(f"/v1/reservations/{reservation_id}").json()
                        # By hand a time is given a moment before it is taken.
                        assert abs(_micros(found["expires_at"]) - until) < 10 * SECOND
                        assert found["state"] == "ACTIVE"
            node.kill()
    verified = run_larder("branch", "verify", "--dir", folder, "--json")
    assert verified.returncode == 0, verified.stdout


class Shelf:
    """What a branch has promised, on paper: by the true time, and by what its computer can know of it."""

    def __init__(self) -> None:
        self.promised: dict[str, tuple[dict[str, Any], int]] = {}
        self.measured: dict[str, int] = {}
        self.length: dict[str, int] = {}
        self.ended: set[str] = set()

    def add(self, made: dict[str, Any], true_time: int, length: int) -> None:
        name = made["reservation_id"]
        self.promised[name] = made, true_time + length
        self.measured[name], self.length[name] = 0, length

    def pass_time(self, micros: int) -> None:
        for name in self.measured:
            self.measured[name] += micros

    def lasting(self, true_time: int, confirmed: bool) -> set[str]:
        if confirmed:
            # By a time that is settled: no clock that is wrong later brings it back.
            self.ended |= {name for name, (_, end) in self.promised.items() if end <= true_time}
            return self.promised.keys() - self.ended
        return {name for name in self.promised.keys() - self.ended if self.measured[name] < self.length[name]}


ACTS = st.one_of(
    st.tuples(st.just("reserve"), st.sampled_from([10 * MINUTE, HOUR, 10 * DAY, FOREVER])),
    st.tuples(st.just("pass"), st.sampled_from([3 * MINUTE, 20 * MINUTE])),
    st.tuples(st.just("restart"), st.sampled_from([0, HOUR, 20 * DAY])),
    st.tuples(st.just("replace clock"), st.sampled_from([YEAR, 20 * DAY])),
    st.tuples(st.just("settle"), st.sampled_from(["manager-1", HEAD_OFFICE])),
)


@settings(max_examples=25, deadline=None)
@given(acts=st.lists(ACTS, min_size=3, max_size=14))
def test_no_wrong_clock_ends_a_reservation(acts: list[tuple[str, Any]]) -> None:
    """Against the paper: while the clock is unconfirmed what was measured counts, once it is settled the true time."""
    with tempfile.TemporaryDirectory() as folder:
        computer, shelf, wrong_by, acts = Computer(Path(folder) / "branch"), Shelf(), 0, list(acts)
        with computer.started() as client:
            with_milk(client)
            computer.record("PURCHASE_RECEIVED", 500)
        while acts:
            with computer.started(wrong_by=wrong_by) as client:
                confirmed = client.get("/v1/clock")["confirmed"]
                stopped = _play(computer, client, shelf, acts, confirmed)
                client.post("/v1/events", {"type": "PURCHASE_RECEIVED", "item_id": "milk", "quantity": 1})
                settled, wrong_by = client.get("/v1/clock")["confirmed"], computer.wrong_by
            off, replaced = stopped
            computer.pass_time(off)
            if replaced is not None and settled:
                wrong_by = replaced
            if settled and wrong_by == 0 and off <= 14 * DAY:
                shelf.pass_time(off)
        with computer.node.store.reading() as connection:
            assert verify_projection(connection, "BEY-01", lambda _: None) == []


def _play(
    computer: Computer, client: ServiceClient, shelf: Shelf, acts: list[tuple[str, Any]], confirmed: bool
) -> tuple[int, int | None]:
    """Play until the computer is switched off: for how long, and how far its clock is ahead then."""
    while True:
        lasting = shelf.lasting(computer.true_time, confirmed)
        active = client.get("/v1/reservations", state="ACTIVE", limit=1_000)["items"]
        assert {each["reservation_id"] for each in active} == lasting
        assert reserved(client) == len(lasting)
        if confirmed:
            ends = {name: moment_text(end) for name, (_, end) in shelf.promised.items()}
            assert all(each["expires_at"] == ends[each["reservation_id"]] for each in active)
        if not acts:
            return 0, None
        act, given = acts.pop(0)
        if act == "reserve":
            shelf.add(reserve(client, f"order-{len(shelf.promised)}", given), computer.true_time, given)
        elif act == "pass":
            computer.pass_time(given)
            shelf.pass_time(given)
        elif act == "settle":
            settle(computer, given)
            computer.wrong_by, confirmed = 0, True
        else:
            return (given, None) if act == "restart" else (HOUR, given)
