"""Nodes whose computer's clock is wrong: what they date, how it is settled, and the repair of wrong dates."""

from __future__ import annotations

import json
import tempfile
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from httpx2 import Response
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient
from typer.testing import CliRunner

from branch_node.cli import clock_commands
from branch_node.clock.clock_repair import redating_commands
from branch_node.clock.misdated_events import MisdatedEvent, misdated_events
from branch_node.database.verification import verify_projection
from shared.event_record import moment_text
from shared.runtime.client import RemoteProblem
from shared.runtime.clock import DAY, MINUTE
from tests.support.computer import HOUR, YEAR, Computer, with_milk
from tests.support.events import NOON
from tests.support.html import Element, faults, filled_form, parse


@pytest.fixture
def computer(tmp_path: Path) -> Computer:
    return Computer(tmp_path / "branch")


def test_first_started_offline_a_year_ahead_then_corrected(computer: Computer) -> None:
    with computer.started(wrong_by=YEAR) as client:
        with_milk(client)
        computer.record("PURCHASE_RECEIVED", 100)
        sale = computer.record("ORDER_DEDUCTION", 3)
        assert sale["occurred_at"].startswith("2027")
    computer.pass_time(HOUR)
    with computer.started() as client:
        flagged = computer.record("ORDER_DEDUCTION", 1)
        assert flagged["flags"] == ["clock-unconfirmed"]
        assert not client.get("/v1/clock")["confirmed"]
        computer.greet()
        assert client.get("/v1/clock")["settled_by"] == "head-office"
        sold = computer.record("ORDER_DEDUCTION", 2)
        assert sold["recorded_at"] == moment_text(computer.true_time - MINUTE, 120)
        assert "flags" not in sold or sold["flags"] == []
        assert computer.on_hand() == 94
        assert computer.on_hand(computer.true_time) == -2, "the wrong dates are a year ahead"
        wrong = computer.repairs()
        assert [each["sequence"] for each in wrong] == [2, 3, 4]
        assert wrong[0]["was"] == moment_text(NOON + YEAR)
        for each in wrong:
            assert each["is"] <= moment_text(computer.true_time)
        before = client.get("/v1/status")["head"]["sequence"]
        assert computer.repairs() == wrong
        assert client.get("/v1/status")["head"]["sequence"] == before
        assert client.post("/v1/clock/repairs", {}) == {"repaired": 3, "refused": [], "more": False}
        assert computer.on_hand(computer.true_time) == 94 == computer.on_hand()
        assert computer.repairs() == []
        assert client.post("/v1/clock/repairs", {})["repaired"] == 0
    computer.pass_time(DAY)
    with computer.started() as client:
        assert client.get("/v1/clock")["confirmed"]


def test_corrected_while_it_runs_every_date_is_exact(computer: Computer) -> None:
    with computer.started(wrong_by=YEAR) as client:
        with_milk(client)
        computer.record("PURCHASE_RECEIVED", 100)
        yesterday = computer.record("ORDER_DEDUCTION", 1, occurred_at=moment_text(NOON - DAY))
        counted = computer.record("STOCKTAKE", 90)
        computer.correct()
        assert not client.get("/v1/clock")["confirmed"]
        with pytest.raises(RemoteProblem, match="unconfirmed"):
            client.post("/v1/clock/repairs", {})
        assert client.post("/v1/clock/confirm", {})["confirmed"]
        wrong = {each["sequence"]: each for each in computer.repairs()}
        assert yesterday["sequence"] not in wrong, "who dated it was not misled"
        assert wrong[counted["sequence"]]["is"] == moment_text(NOON + 2 * MINUTE)
        client.post("/v1/clock/repairs", {})
        assert computer.on_hand(NOON + MINUTE) == 99
        assert computer.on_hand(NOON + 2 * MINUTE) == 90
        assert computer.on_hand() == 90


def test_booted_20_days_ahead(computer: Computer) -> None:
    with computer.started() as client:
        with_milk(client)
        computer.greet()
        right = computer.record("PURCHASE_RECEIVED", 10)
        assert not right.get("flags")
    with computer.started(wrong_by=20 * DAY) as client:
        assert not client.get("/v1/clock")["confirmed"]
        ahead = computer.record("ORDER_DEDUCTION", 4)
        assert ahead["flags"] == ["clock-unconfirmed"]
        computer.greet()
        after = computer.record("ORDER_DEDUCTION", 1)
        assert after["recorded_at"] == moment_text(computer.true_time - MINUTE, 120)
        assert [(each["event_id"], each["is"]) for each in computer.repairs()] == [
            (ahead["event_id"], moment_text(NOON + MINUTE))
        ]
        client.post("/v1/clock/repairs", {})
        assert computer.on_hand(NOON + MINUTE) == 6


def test_closed_for_40_days_with_a_right_clock(computer: Computer) -> None:
    with computer.started() as client:
        with_milk(client)
        computer.record("PURCHASE_RECEIVED", 10)
    computer.pass_time(40 * DAY)
    with computer.started() as client:
        opened = computer.record("ORDER_DEDUCTION", 1)
        assert opened["occurred_at"] == moment_text(computer.true_time - MINUTE, 120)
        assert opened["flags"] == ["clock-unconfirmed"]
        assert client.post("/v1/clock/confirm", {})["confirmed"]
        assert computer.repairs() == []
        assert not computer.record("ORDER_DEDUCTION", 1).get("flags")


def test_a_date_ahead_is_refused_unless_the_clock_is_unconfirmed(computer: Computer) -> None:
    with computer.started() as client:
        with_milk(client)
        ahead = moment_text(computer.true_time + 2 * HOUR)
        with pytest.raises(RemoteProblem, match="future-date") as refused:
            computer.record("PURCHASE_RECEIVED", 10, occurred_at=ahead)
        assert "larder branch clock show" in refused.value.hint
        computer.clock.wall += HOUR
        recorded = computer.record("PURCHASE_RECEIVED", 10, occurred_at=ahead)
        assert recorded["flags"] == ["clock-unconfirmed"]


def test_orders_and_counts_are_repaired_with_what_belongs_to_them(computer: Computer) -> None:
    with computer.started(wrong_by=YEAR) as client:
        with_milk(client)
        computer.record("PURCHASE_RECEIVED", 100)
        client.post("/v1/orders", {"order_id": "o", "lines": [{"item_id": "milk", "quantity": q} for q in (1, 2)]})
        client.post("/v1/orders", {"order_id": "o", "revision": 2, "lines": [{"item_id": "milk", "quantity": 1}]})
        client.post("/v1/counts", {"count_id": "c", "lines": [{"item_id": "milk", "counted": 50, "area": "bar"}]})
        computer.correct()
        client.post("/v1/clock/confirm", {})
        client.post("/v1/clock/repairs", {})
        assert computer.on_hand() == 50
        revised = client.post(
            "/v1/orders", {"order_id": "o", "revision": 3, "lines": [{"item_id": "milk", "quantity": 4}]}
        )
        assert [each["quantity"] for each in revised["recorded"]] == [4]
        assert revised["recorded"][0]["occurred_at"].startswith("2026-01-01")
        with pytest.raises(RemoteProblem, match="posted"):
            client.post("/v1/counts", {"count_id": "c", "lines": [{"item_id": "milk", "counted": 5, "area": "bar"}]})


def test_the_page_confirms_and_repairs(computer: Computer) -> None:
    with computer.started(wrong_by=YEAR) as client:
        with_milk(client)
        computer.record("PURCHASE_RECEIVED", 100)
        computer.correct()
        with TestClient(computer.node.app) as browser:

            def look(answer: Response) -> Element:
                assert answer.status_code == 200
                assert faults(answer.text) == []
                return parse(answer.text)

            def send(page: Element, action: str, **changed: str) -> Element:
                return look(browser.post(action, data=filled_form(page, action, **changed)))

            send(look(browser.get("/")), "/sign-in", key=computer.node.local_key)
            assert "The clock is in doubt." in look(browser.get("/record/deduction")).text
            page = look(browser.get("/clock"))
            assert "The clock is in doubt" in page.text
            page = send(page, "/clock/confirm")
            assert "The clock is confirmed" in page.text
            assert "Milk" in page.text
            page = send(page, "/clock/repair")
            assert "1 event was recorded again at the right moment." in page.text
            assert "Dated by a wrong clock" not in page.text
        assert computer.on_hand(NOON) == 100


def test_the_command_line_lists_and_changes_nothing_without_yes(
    computer: Computer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with computer.started(wrong_by=YEAR) as client:
        with_milk(client)
        computer.record("PURCHASE_RECEIVED", 100)
        computer.correct()
        monkeypatch.setattr(clock_commands, "node_at", lambda _: nullcontext(client))

        def run(*arguments: str, code: int = 0) -> Any:
            result = CliRunner().invoke(clock_commands.clock_app, [*arguments, "--json"])
            assert result.exit_code == code, result.output
            return json.loads(result.stdout)

        assert not run("show")["confirmed"]
        assert run("repair") == {"confirmed": False, "items": [], "repaired": 0, "refused": []}
        told = CliRunner().invoke(clock_commands.clock_app, ["repair"]).stdout
        assert "The clock is not confirmed" in told
        assert "larder branch clock confirm" in told
        assert "dated nothing" not in told, "that is not known yet"
        refused = CliRunner().invoke(clock_commands.clock_app, ["repair", "--yes"]).exception
        assert isinstance(refused, RemoteProblem)
        assert (refused.code, refused.status, str(refused.recorded)) == ("clock-unconfirmed", 409, "no")
        assert not run("confirm")["confirmed"]
        assert run("confirm", "--yes")["confirmed"]
        assert run("confirm", "--yes")["confirmed"]
        listed = run("repair")
        assert [set(each) >= {"event_id", "was", "is"} for each in listed["items"]] == [True]
        assert (listed["confirmed"], listed["repaired"]) == (True, 0)
        assert run("repair") == listed
        assert run("repair", "--yes")["repaired"] == 1
        assert run("repair", "--yes") == {"confirmed": True, "items": [], "repaired": 0, "refused": []}
        shown = CliRunner().invoke(clock_commands.clock_app, ["repair"])
        assert "A wrong clock has dated nothing." in shown.stdout


def test_a_repair_that_is_cut_off_goes_on(computer: Computer) -> None:
    with computer.started(wrong_by=YEAR) as client:
        with_milk(client)
        for _ in range(5):
            computer.record("PURCHASE_RECEIVED", 1)
        computer.correct()
        client.post("/v1/clock/confirm", {})
        first, second = list(redating_commands(_misdated(computer), "manager-1"))[:2]
        computer.node.writer.submit(first).result(10)
    with computer.started() as client:
        computer.node.writer.submit(first).result(10)
        computer.node.writer.submit(second).result(10)
        assert client.post("/v1/clock/repairs", {})["repaired"] == 3
        assert computer.on_hand() == 5 == computer.on_hand(computer.true_time)


def _misdated(computer: Computer) -> list[MisdatedEvent]:
    with computer.node.store.reading() as connection:
        return list(misdated_events(connection))


@settings(max_examples=10, deadline=None)
@given(data=st.data())
def test_a_repaired_log_gives_the_figures_of_a_right_clock(data: st.DataObject) -> None:
    """The same day twice, on a computer whose clock is wrong and on one whose clock is right."""
    wrong_by = data.draw(st.sampled_from([YEAR, 20 * DAY, 6 * MINUTE, -20 * DAY, -HOUR]))
    day = data.draw(
        st.lists(
            st.tuples(st.sampled_from(["PURCHASE_RECEIVED", "ORDER_DEDUCTION", "STOCKTAKE"]), st.integers(1, 9)),
            min_size=1,
            max_size=8,
        )
    )
    figures: list[list[float]] = []
    for error in (0, wrong_by):
        with tempfile.TemporaryDirectory() as folder:
            computer = Computer(Path(folder) / "branch")
            with computer.started(wrong_by=error) as client:
                with_milk(client)
                for kind, quantity in day:
                    computer.record(kind, quantity)
                computer.correct()
                client.post("/v1/clock/confirm", {})
                client.post("/v1/clock/repairs", {})
                figures.append([computer.on_hand(NOON + number * MINUTE) for number in range(len(day) + 1)])
                with computer.node.store.reading() as connection:
                    assert verify_projection(connection, "BEY-01", lambda _: None) == []
    assert figures[0] == figures[1]
