"""The bench itself: its verdicts, its check on slow yardsticks, its load generator. No row is measured here."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from tests.benchmarks.__main__ import EVERY_ROW, GROUPS
from tests.benchmarks.harness import Bench, Contender, Group, Measured, Outcome, run_group
from tests.benchmarks.load import drive, drive_one, request
from tests.benchmarks.report import as_json
from tests.benchmarks.rows import ROWS, SLOWEST, USUAL, USUAL_SYNC, read, slow_yardsticks
from tests.benchmarks.sample import event_body, now_micros, sealed_log
from tests.benchmarks.serving import yard_server

ROW = next(row for row in ROWS if row.name == "append-http")


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with Bench(tmp_path, divisor=10, say=lambda line: None) as opened:
        yield opened


def _outcome(**rates: list[float]) -> Outcome:
    return Outcome({name: Measured([{"rate": rate} for rate in each]) for name, each in rates.items()})


def test_a_row_is_the_ratio_of_the_medians() -> None:
    reading = read(ROW, _outcome(events=[60.0, 70.0, 500.0], trivial=[100.0, 100.0, 1.0]))
    assert (reading.ours, reading.yardstick, reading.ratio, reading.met) == (70.0, 100.0, 0.7, True)
    assert (reading.low, reading.high) == (0.6, 500.0)
    assert read(replace(ROW, goal=0.71), _outcome(events=[70.0], trivial=[100.0])).met is False
    assert read(replace(ROW, goal=0.71, sense="at most"), _outcome(events=[70.0], trivial=[100.0])).met is True


def test_what_was_not_measured_is_not_met_and_says_why() -> None:
    reading = read(ROW, Outcome(failed={"events": "RuntimeError: refused"}))
    assert reading.met is False
    assert reading.failure == "RuntimeError: refused"
    (told,) = as_json({}, [reading], {}, failed=[])["rows"]
    assert json.loads(json.dumps(told))["failure"] == "RuntimeError: refused"


def _usual(factor: float, **other: float) -> dict[str, Outcome]:
    outcomes: dict[str, Outcome] = {}
    for usual in USUAL.values():
        group, contender = usual.contender
        rate = usual.rate * factor * other.get(contender.replace("-", "_"), 1.0)
        outcomes.setdefault(group, Outcome()).measured[contender] = Measured([{"rate": rate}])
    return outcomes


def test_a_yardstick_that_ran_at_less_than_half_is_found_on_a_machine_of_any_speed() -> None:
    for factor in (0.2, 1.0, 5.0):
        fair = slow_yardsticks(_usual(factor), USUAL_SYNC)
        assert {round(share, 6) for _, share in fair.values()} == {1.0}
        shares = slow_yardsticks(_usual(factor, replication=0.49), USUAL_SYNC)
        assert [name for name, (_, share) in shares.items() if share < SLOWEST] == ["logical replication"]


def test_a_slow_disk_excuses_the_yardsticks_that_wait_for_it() -> None:
    sync = 0.005
    outcomes = _usual(1.0)
    for usual in USUAL.values():
        group, contender = usual.contender
        slowed = 1 / (1 / usual.rate + usual.syncs * (sync - USUAL_SYNC))
        outcomes[group].measured[contender] = Measured([{"rate": slowed}])
    assert all(share == pytest.approx(1.0) for _, share in slow_yardsticks(outcomes, sync).values())
    assert any(share < SLOWEST for _, share in slow_yardsticks(outcomes, USUAL_SYNC).values())


def test_contenders_take_turns_and_one_that_fails_is_left_out(bench: Bench) -> None:
    calls: list[str] = []

    def contender(name: str, *, fails: bool = False) -> Contender:
        def measure() -> dict[str, float]:
            calls.append(name)
            if fails:
                raise RuntimeError("no such thing")
            return {"rate": float(len(calls))}

        return measure

    @contextmanager
    def opened(_bench: Bench) -> Iterator[dict[str, Contender]]:
        yield {"a": contender("a"), "b": contender("b"), "c": contender("c", fails=True), "d": contender("d")}

    outcome = run_group(bench, Group("some", opened, warm_up=True), ["a", "b", "c"], rounds=2)
    assert calls == ["a", "b", "c", "a", "b", "a", "b"]
    assert [each["rate"] for each in outcome.measured["a"].rounds] == [4.0, 6.0]
    assert outcome.failed == {"c": "RuntimeError: no such thing"}


def test_rows_and_groups_fit() -> None:
    names = [row.name for row in EVERY_ROW]
    assert len(set(names)) == len(names)
    assert {row.group for row in EVERY_ROW} - {"memory"} == {group.name for group in GROUPS}
    measured = {(row.group, side[0]) for row in ROWS for side in (row.ours, row.yardstick) if side is not None}
    assert {usual.contender for usual in USUAL.values()} <= measured


def test_the_generator_sends_every_request_once_and_tells_a_refusal(bench: Bench) -> None:
    moment = now_micros()
    good = [request("/v1/events", event_body(number, moment)) for number in range(200)]
    with yard_server(bench, "trivial") as port:
        answer = drive(bench, port, good, 8, keep=3)
        assert answer["rate"] > 0
        assert 0 < answer["p50"] <= answer["p99"]
        assert all(json.loads(body)["item_id"].startswith("item-") for body in answer["bodies"])
        assert json.loads(drive_one(port, good[0])[1])["item_id"].startswith("item-")
        with pytest.raises(RuntimeError, match=r"not every answer was 2xx: \{'422': 1\}"):
            drive(bench, port, [*good, request("/v1/events", b'{"type": "WASTE"}')], 8)


def test_the_sample_is_a_log_that_verifies() -> None:
    log = list(sealed_log(50))
    assert [each.event.sequence for each in log] == list(range(1, 51))
    assert len({each.event.event_id for each in log}) == 50
    assert 400 < sum(len(each.line) for each in log) / 50 < 700
