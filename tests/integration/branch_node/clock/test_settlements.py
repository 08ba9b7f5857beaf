"""Settlements of a node's clock: given twice, in doubt, followed by a restart. None changes what is found wrong."""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from httpx2 import Response
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient

from branch_node.api import clock_routes
from branch_node.api.clock_routes import settlement
from branch_node.clock.clock_settlement import HEAD_OFFICE, SettleClock
from branch_node.commands.transfer_commands import TakeStep
from branch_node.problems import BUSY
from branch_node.writer.writer import Writer
from shared.event_record import moment_text
from shared.messages import Instruction, InstructionLine, InstructionStep
from shared.runtime.client import RemoteProblem, ServiceClient
from shared.runtime.clock import DAY, MINUTE, parse_rfc3339
from shared.runtime.problems import Recorded
from tests.support.computer import HOUR, YEAR, Computer, with_milk
from tests.support.events import NOON
from tests.support.html import Element, filled_form, parse

TIMES = [moment_text(NOON + minute * MINUTE) for minute in range(3)]


@pytest.fixture(params=["sqlite", "postgresql"])
def computer(request: pytest.FixtureRequest, tmp_path: Path) -> Computer:
    url: str | None = None
    if request.param == "postgresql":
        url = request.getfixturevalue("postgres_url_factory")()
    return Computer(tmp_path / "branch", url)


def is_moments(computer: Computer) -> list[str]:
    return [each["is"] for each in computer.repairs()]


def three_events_a_year_ahead(computer: Computer, client: ServiceClient) -> None:
    with_milk(client)
    for _ in range(3):
        computer.record("PURCHASE_RECEIVED", 1)
    computer.correct()


def settle(computer: Computer, *commands: SettleClock) -> None:
    for each in commands:
        computer.node.writer.submit(each).result(20)


@pytest.mark.parametrize("wrong_by", [YEAR, -20 * MINUTE])
@pytest.mark.parametrize("by", ["manager-1", HEAD_OFFICE])
def test_reservations_keep_their_remaining_time(computer: Computer, wrong_by: int, by: str) -> None:
    with computer.started() as client:
        with_milk(client)
        computer.record("PURCHASE_RECEIVED", 5)
    computer.pass_time(DAY)
    with computer.started(wrong_by=wrong_by - (DAY if wrong_by < 0 else 0)) as client:
        assert not client.get("/v1/clock")["confirmed"]
        body = {"order_id": "web-1", "lines": [{"item_id": "milk", "quantity": 2}], "expires_in": 600}
        made = client.post("/v1/reservations", body, idempotency_key="r-1")
        computer.pass_time(4 * MINUTE)
        computer.correct()
        measured = computer.node.clock.measure(computer.true_time, 0.0)
        assert measured is not None
        settle(computer, SettleClock(computer.node.clock, measured, by=by))
        kept = client.get(f"/v1/reservations/{made['reservation_id']}")
        assert (kept["state"], kept["revision"], kept["lines"]) == ("ACTIVE", 1, made["lines"])
        assert kept["expires_at"] == moment_text(computer.true_time + 6 * MINUTE)
        assert client.get("/v1/stock/milk")["available"] == 3
        assert client.post("/v1/reservations", body, idempotency_key="r-2") == kept  # stated again alike
        computer.pass_time(6 * MINUTE)
        assert client.get(f"/v1/reservations/{made['reservation_id']}")["state"] == "EXPIRED"
        assert client.get("/v1/stock/milk")["available"] == 5


@pytest.mark.parametrize("wrong_by", [HOUR, YEAR])
def test_a_settlement_that_moves_reservations_leaves_a_clock_that_a_restart_goes_on_from(
    computer: Computer, wrong_by: int
) -> None:
    with computer.started() as client:
        with_milk(client)
        computer.record("PURCHASE_RECEIVED", 5)
    computer.pass_time(DAY)
    with computer.started(wrong_by=wrong_by) as client:
        # An hour more may well have passed since the node was stopped; a year has not.
        assert client.get("/v1/clock")["confirmed"] == (wrong_by == HOUR)
        body = {"order_id": "web-1", "lines": [{"item_id": "milk", "quantity": 2}], "expires_in": 600}
        made = client.post("/v1/reservations", body, idempotency_key="r-1")
        computer.correct()
        measured = computer.node.clock.measure(computer.true_time, 0.0)
        assert measured is not None
        settle(computer, SettleClock(computer.node.clock, measured, by=HEAD_OFFICE))
        moved = client.get("/v1/events?type=STOCK_RESERVED")["items"][-1]
        assert moved["recorded_at"] == moved["occurred_at"]
        assert parse_rfc3339(moved["recorded_at"])[0] == computer.true_time
        assert "clock_unconfirmed" not in moved
    computer.pass_time(MINUTE)
    with computer.started() as client:
        clock = client.get("/v1/clock")
        assert (clock["confirmed"], clock["now"]) == (True, moment_text(computer.true_time))
        kept = client.get(f"/v1/reservations/{made['reservation_id']}")
        assert (kept["state"], kept["expires_at"]) == ("ACTIVE", moment_text(computer.true_time + 9 * MINUTE))


def test_two_confirmations_at_once_settle_once(computer: Computer) -> None:
    with computer.started(wrong_by=YEAR) as client:
        three_events_a_year_ahead(computer, client)
        settle(computer, *[settlement(computer.node.clock, "manager-1") for _ in range(2)])
        assert is_moments(computer) == TIMES
        assert client.get("/v1/clock")["now"] == moment_text(computer.true_time)


def test_a_manager_and_head_office_at_once_settle_once(computer: Computer) -> None:
    with computer.started(wrong_by=YEAR) as client:
        three_events_a_year_ahead(computer, client)
        measured = computer.node.clock.measure(computer.true_time, 0.0)
        assert measured is not None
        by_head_office = SettleClock(computer.node.clock, measured, by=HEAD_OFFICE)
        settle(computer, settlement(computer.node.clock, "manager-1"), by_head_office)
        assert is_moments(computer) == TIMES
        assert client.get("/v1/clock")["now"] == moment_text(computer.true_time)


def test_a_clock_that_jumped_and_is_confirmed_twice_leaves_right_events_alone(computer: Computer) -> None:
    with computer.started() as client:
        with_milk(client)
        computer.record("PURCHASE_RECEIVED", 1)
    computer.pass_time(DAY)
    with computer.started(wrong_by=YEAR) as client:
        assert not client.get("/v1/clock")["confirmed"]
        computer.correct()
        settle(computer, *[settlement(computer.node.clock, "manager-1") for _ in range(2)])
        computer.greet()
        assert is_moments(computer) == []


def test_a_confirmation_whose_commit_was_in_doubt_settles_once(
    computer: Computer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with computer.started(wrong_by=YEAR) as client:
        three_events_a_year_ahead(computer, client)
        writing = computer.node.writer._writing
        assert writing is not None
        real = writing.commit

        def commit() -> None:
            monkeypatch.setattr(writing, "commit", real)
            real()
            raise sqlite3.OperationalError("disk I/O error")

        monkeypatch.setattr(writing, "commit", commit)
        settle(computer, settlement(computer.node.clock, "manager-1"))
        assert client.get("/v1/clock")["confirmed"]
        assert client.post("/v1/clock/confirm", {})["confirmed"]
        assert is_moments(computer) == TIMES


@pytest.mark.parametrize("stopped", [MINUTE, HOUR, 20 * DAY])
def test_a_restart_after_a_confirmation_keeps_what_it_said(computer: Computer, stopped: int) -> None:
    with computer.started(wrong_by=YEAR) as client:
        three_events_a_year_ahead(computer, client)
        client.post("/v1/clock/confirm", {})
        assert is_moments(computer) == TIMES
    computer.pass_time(stopped)
    with computer.started() as client:
        computer.record("PURCHASE_RECEIVED", 1)
        assert is_moments(computer) == TIMES
        if stopped > 14 * DAY:
            client.post("/v1/clock/confirm", {})
            assert is_moments(computer) == TIMES
        computer.greet()
        assert is_moments(computer) == TIMES


def test_what_a_manager_said_stands_after_later_jumps(computer: Computer) -> None:
    with computer.started(wrong_by=YEAR) as client:
        three_events_a_year_ahead(computer, client)
        client.post("/v1/clock/confirm", {})
        computer.record("PURCHASE_RECEIVED", 1)
    computer.pass_time(20 * DAY)
    with computer.started() as client:
        computer.record("PURCHASE_RECEIVED", 1)
        computer.greet()
        assert is_moments(computer) == TIMES
        assert client.post("/v1/clock/repairs", {})["repaired"] == 3


def test_a_start_that_is_settled_before_any_event_keeps_the_correction_of_the_run_before(computer: Computer) -> None:
    with computer.started(wrong_by=YEAR) as client:
        three_events_a_year_ahead(computer, client)
    computer.pass_time(HOUR)
    with computer.started(wrong_by=YEAR) as client:
        assert client.get("/v1/clock")["confirmed"], "the same clock went on"
        computer.correct()
        client.post("/v1/clock/confirm", {})
        assert is_moments(computer) == TIMES
        computer.record("PURCHASE_RECEIVED", 1)
        computer.greet()
        assert is_moments(computer) == TIMES


def test_a_right_clock_confirmed_again_and_again_moves_nothing(computer: Computer) -> None:
    """Confirmed by a watch that is four minutes slow, and by a computer that is four minutes fast at first."""
    with computer.started(wrong_by=YEAR) as client:
        three_events_a_year_ahead(computer, client)
        computer.clock.wall += 4 * MINUTE
        client.post("/v1/clock/confirm", {})
        computer.correct()
        for _ in range(6):
            computer.pass_time(5_000_000)
            client.post("/v1/clock/confirm", {})
        for _ in range(6):
            client.post("/v1/clock/confirm", {"now": moment_text(computer.true_time - 4 * MINUTE)})
        for found, right in zip(computer.repairs(), (NOON, NOON + MINUTE, NOON + 2 * MINUTE), strict=True):
            assert abs(parse_rfc3339(found["is"])[0] - right) <= 5 * MINUTE


@pytest.mark.parametrize("stopped", [HOUR, 20 * DAY])
def test_a_computer_that_goes_on_from_when_it_was_switched_off(computer: Computer, stopped: int) -> None:
    """It has no battery: the time seems unbroken. What was recorded right before stays."""
    with computer.started() as client:
        with_milk(client)
        computer.greet()
        computer.record("PURCHASE_RECEIVED", 1)
    computer.pass_time(stopped)
    with computer.started(wrong_by=-stopped) as client:
        assert client.get("/v1/clock")["confirmed"], "nothing shows it"
        late = computer.record("PURCHASE_RECEIVED", 1)
        computer.greet()
        assert [each["sequence"] for each in computer.repairs()] == [late["sequence"]]


@pytest.mark.parametrize("stopped", [HOUR, 20 * DAY])
def test_such_a_computer_after_a_confirmation(computer: Computer, stopped: int) -> None:
    with computer.started(wrong_by=YEAR) as client:
        three_events_a_year_ahead(computer, client)
        client.post("/v1/clock/confirm", {})
    computer.pass_time(stopped)
    with computer.started(wrong_by=-stopped):
        computer.greet()
        assert is_moments(computer) == TIMES


ACTS = st.lists(st.sampled_from(["record", "confirm"]), max_size=3)


@settings(max_examples=25, deadline=None)
@given(
    ahead=st.sampled_from([YEAR, -YEAR // 2]),
    acts=ACTS,
    restarts=st.lists(st.tuples(st.sampled_from([MINUTE, HOUR, 20 * DAY]), ACTS), max_size=3),
)
def test_confirming_again_and_restarting_change_no_moment(
    ahead: int, acts: list[str], restarts: list[tuple[int, list[str]]]
) -> None:
    """Once a manager has said the true time, nothing that agrees with it changes what was found wrong."""
    with tempfile.TemporaryDirectory() as folder:
        computer = Computer(Path(folder) / "branch")
        with computer.started(wrong_by=ahead) as client:
            with_milk(client)
            for _ in range(3):
                computer.record("PURCHASE_RECEIVED", 1)
            computer.correct()
            client.post("/v1/clock/confirm", {})
            found = computer.repairs()
            assert [each["is"] for each in found] == TIMES
            for act in acts:
                _act(computer, client, act)
                assert computer.repairs() == found
        for stopped, later in restarts:
            computer.pass_time(stopped)
            with computer.started() as client:
                for act in later:
                    _act(computer, client, act)
                    assert computer.repairs() == found
        with computer.started():
            computer.greet()
            assert computer.repairs() == found


def _act(computer: Computer, client: ServiceClient, act: str) -> None:
    if act == "confirm":
        client.post("/v1/clock/confirm", {})
    else:
        computer.record("PURCHASE_RECEIVED", 1)


def _fail_after(monkeypatch: pytest.MonkeyPatch, writer: Writer, good: int) -> None:
    """Every submission after the first `good` is refused as busy."""
    real, given = writer.submit, []

    def submit(command: Any) -> Any:
        given.append(command)
        if len(given) > good:
            raise BUSY("full", recorded=Recorded.NO)
        return real(command)

    monkeypatch.setattr(writer, "submit", submit)


def test_a_repair_that_fails_midway_says_what_was_repaired(computer: Computer, monkeypatch: pytest.MonkeyPatch) -> None:
    with computer.started(wrong_by=YEAR) as client:
        three_events_a_year_ahead(computer, client)
        client.post("/v1/clock/confirm", {})
        with monkeypatch.context() as broken:
            _fail_after(broken, computer.node.writer, good=2)
            assert client.post("/v1/clock/repairs", {}) == {"repaired": 2, "refused": [], "more": True}
        with monkeypatch.context() as broken:
            _fail_after(broken, computer.node.writer, good=0)
            answer = _status(lambda: client.post("/v1/clock/repairs", {}, tries=1))
            assert answer == (503, "no")
        assert client.post("/v1/clock/repairs", {}) == {"repaired": 1, "refused": [], "more": False}


def _status(call: Callable[[], object]) -> tuple[int, str | None]:
    with pytest.raises(RemoteProblem) as refused:
        call()
    return refused.value.status, refused.value.recorded


def strict_items_that_came_by_a_transfer(computer: Computer, client: ServiceClient) -> None:
    """Two sales of what a transfer brought, a year ahead: the transfer keeps its date, so neither can be dated right;
    and two deliveries after them."""
    client.put("/v1/items/gin", {"name": "Gin", "unit": "l", "strict": True})
    with_milk(client)
    arrival = Instruction(
        transfer_id="t-1",
        step=InstructionStep.IN,
        token=1,
        location_id="BEY-01",
        source="MAIN",
        destination="BEY-01",
        lines=(InstructionLine(1, "gin", 5_000, "l"),),
    )
    computer.node.writer.submit(TakeStep(arrival)).result(20)
    for _ in range(2):
        client.post("/v1/events", {"type": "ORDER_DEDUCTION", "item_id": "gin", "quantity": 1})
        computer.pass_time(MINUTE)
    for _ in range(2):
        computer.record("PURCHASE_RECEIVED", 1)
    computer.correct()
    client.post("/v1/clock/confirm", {})


def test_what_is_refused_does_not_hold_up_the_rest(computer: Computer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock_routes, "MOST_COMMANDS", 2)
    with computer.started(wrong_by=YEAR) as client:
        strict_items_that_came_by_a_transfer(computer, client)
        first = client.post("/v1/clock/repairs", {})
        assert (first["repaired"], len(first["refused"]), first["more"]) == (0, 2, True)
        assert client.post("/v1/clock/repairs", {"pass_over": 2})["repaired"] == 2


def test_what_is_refused_does_not_hold_up_the_rest_of_the_page(
    computer: Computer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clock_routes, "MOST_COMMANDS", 2)
    with computer.started(wrong_by=YEAR) as client:
        strict_items_that_came_by_a_transfer(computer, client)
        with TestClient(computer.node.app) as browser:

            def send(page: Element, action: str, **changed: str) -> Response:
                return browser.post(action, data=filled_form(page, action, **changed))

            send(parse(browser.get("/").text), "/sign-in", key=computer.node.local_key)
            refused = send(parse(browser.get("/clock").text), "/clock/repair")
            assert refused.status_code == 409
            assert "would be below zero" in refused.text
            done = send(parse(refused.text), "/clock/repair")
            assert done.status_code == 200
            assert "2 events were recorded again at the right moment." in done.text
        assert len(computer.repairs()) == 3, "the transfer and the two sales"
