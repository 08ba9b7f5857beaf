"""Timers: a job that raises is seen, runs again, and is forgotten once it succeeds."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine

from shared.runtime.telemetry import Telemetry
from shared.runtime.timers import Timers
from tests.support.waiting import wait_until


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    logging.disable()
    yield
    logging.disable(logging.NOTSET)


def shown(telemetry: Telemetry) -> str:
    return telemetry.exposition().decode()


def test_a_job_that_raises_is_in_metrics_and_problem_until_it_succeeds() -> None:
    telemetry = Telemetry("test")
    timers = Timers(telemetry)
    broken = threading.Event()
    broken.set()
    ran = threading.Semaphore(0)

    def job() -> None:
        ran.release()
        if broken.is_set():
            raise LookupError("the disk is gone")

    timers.every(0.02, "backup", job)
    timers.every(0.02, "other", lambda: None)
    assert 'larder_timer_failures_total{job="backup"} 0.0' in shown(telemetry)
    timers.start()
    try:
        wait_until(timers.problem, what="the failure")
        assert timers.problem() == "backup failed: LookupError: the disk is gone"
        # It goes on being run.
        assert ran.acquire(timeout=5)
        assert ran.acquire(timeout=5)
        broken.clear()
        wait_until(lambda: timers.problem() is None, what="the next success")
    finally:
        timers.stop(wait=True)
    assert 'larder_timer_failures_total{job="backup"} 0.0' not in shown(telemetry)
    assert 'larder_timer_failures_total{job="other"} 0.0' in shown(telemetry)


def test_a_job_that_is_not_vital_is_counted_and_no_problem_of_the_service() -> None:
    telemetry = Telemetry("test")
    timers = Timers(telemetry)

    def fails() -> None:
        raise LookupError("one location's data")

    timers.every(60, "mornings", fails, vital=False)
    timers.every(60, "uses", fails)
    timers.run("mornings")
    assert timers.problem() is None
    timers.run("uses")
    assert timers.problem() == "uses failed: LookupError: one location's data"
    assert 'larder_timer_failures_total{job="mornings"} 1.0' in shown(telemetry)


def test_a_database_that_is_away_is_told_in_a_line(log_file: Path) -> None:
    logging.disable(logging.NOTSET)
    timers = Timers(Telemetry("test"))
    engine = create_engine("postgresql+psycopg://nobody@127.0.0.1:1/none")

    def asks() -> None:
        with engine.connect():
            pass

    timers.every(60, "mornings", asks)
    timers.run("mornings")
    assert "database-unavailable" in str(timers.problem())
    (told,) = map(json.loads, log_file.read_text().splitlines())
    assert (told["level"], told["job"]) == ("warning", "mornings")
    assert told["why"] == "database-unavailable: the connection failed"
    assert "exception" not in told


def test_a_job_may_run_at_the_start() -> None:
    timers = Timers(Telemetry("test"))
    ran, other = threading.Event(), threading.Event()
    timers.every(3_600, "at once", ran.set, at_once=True)
    timers.every(3_600, "later", other.set)
    timers.start()
    try:
        assert ran.wait(timeout=5)
    finally:
        timers.stop(wait=True)
    assert not other.is_set()


def test_without_a_job_nothing_is_started() -> None:
    timers = Timers(Telemetry("test"))
    timers.start()
    timers.stop()
    assert timers.problem() is None
