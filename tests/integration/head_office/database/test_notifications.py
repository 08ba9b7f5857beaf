"""The thread that listens: wakes who waits for it, comes back after a broken connection, and never dies unnoticed."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from sqlalchemy import Engine, make_url, text

from head_office.database.connections import listener
from head_office.database.notifications import Wakeups
from tests.support.waiting import wait_until


@pytest.fixture
def heard() -> list[str]:
    return []


@pytest.fixture
def wakeups(office_url: str, heard: list[str]) -> Iterator[Wakeups]:
    made = Wakeups(lambda: listener(office_url), ("one", "two"), {"two": lambda: heard.append("two")})
    made.start()
    assert made.listening.wait(10)
    yield made
    made.stop()
    assert made.failure() is None


def notify(office: Engine, channel: str, payload: str) -> None:
    with office.begin() as connection:
        connection.execute(text("SELECT pg_notify(:channel, :payload)"), {"channel": channel, "payload": payload})


def test_who_waits_is_woken_by_what_it_waits_for(office: Engine, wakeups: Wakeups) -> None:
    async def waits() -> None:
        never = asyncio.Event()
        with (
            wakeups.watch(("one", "A")) as of_a,
            wakeups.watch(("one", None)) as of_any,
            wakeups.watch(("one", "B"), ("two", "")) as of_two,
        ):
            await asyncio.to_thread(notify, office, "one", "A")
            assert await of_a.wait(10, never)
            assert await of_any.wait(10, never)
            assert not await of_two.wait(0, never)
            await asyncio.to_thread(notify, office, "two", "")
            assert await of_two.wait(10, never)
            assert not await of_a.wait(0, never)
        never.set()
        with wakeups.watch(("one", "A")) as stopped:
            assert not await stopped.wait(10, never)

    asyncio.run(waits())


def test_a_broken_connection_is_made_again_and_everybody_woken(
    office: Engine, wakeups: Wakeups, heard: list[str]
) -> None:
    async def waits() -> None:
        never = asyncio.Event()
        before = len(heard)
        with wakeups.watch(("one", "A")) as watch:
            with office.begin() as connection:
                killed = connection.execute(
                    text(
                        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
                        "WHERE datname = current_database() AND application_name LIKE '%listener'"
                    )
                ).scalar_one()
            assert killed == 1
            assert await watch.wait(15, never)
            assert wakeups.listening.wait(10)
            assert len(heard) == before + 1
            await asyncio.to_thread(notify, office, "one", "A")
            assert await watch.wait(10, never)

    asyncio.run(waits())


def test_a_connection_that_hears_nothing_is_noticed_and_made_again(
    office: Engine, office_url: str, heard: list[str]
) -> None:
    """As through a pooler, which gives the connection that listens to somebody else."""
    made: list[psycopg.Connection[tuple[object, ...]]] = []

    def connect() -> psycopg.Connection[tuple[object, ...]]:
        made.append(listener(office_url))
        return made[-1]

    wakeups = Wakeups(
        connect, ("one", "two"), {"two": lambda: heard.append("two")}, check_seconds=0.2, hearing_seconds=0.5
    )
    wakeups.start()
    try:
        assert wakeups.listening.wait(10)
        assert wakeups.problem() is None
        made[0].execute("UNLISTEN *")
        wait_until(lambda: len(made) == 2, what="a new connection")
        wait_until(lambda: wakeups.problem() is None, what="it to hear")
        before = len(heard)
        notify(office, "two", "")
        wait_until(lambda: len(heard) > before, what="the notification")
        assert wakeups.failure() is None
    finally:
        wakeups.stop()


def test_a_connection_that_never_hears_says_why(office_url: str, heard: list[str]) -> None:
    class Deaf(psycopg.Connection[tuple[object, ...]]):
        """A pooler's: LISTEN is taken, and forgotten."""

        def execute(self, query: Any, *more: Any, **named: Any) -> Any:
            return super().execute("SELECT 1") if "LISTEN" in str(query) else super().execute(query, *more, **named)

    def connect() -> psycopg.Connection[tuple[object, ...]]:
        url = make_url(office_url).set(drivername="postgresql").render_as_string(hide_password=False)
        return Deaf.connect(url, autocommit=True)

    wakeups = Wakeups(connect, ("one", "two"), {"two": lambda: heard.append("two")}, hearing_seconds=0.1)
    wakeups.start()
    try:
        wait_until(lambda: "listen_url" in (wakeups.problem() or ""), what="the reason")
        assert not wakeups.listening.is_set()
        # Whoever waits is woken at every new connection all the same.
        wait_until(lambda: len(heard) > 2, what="further connections")
    finally:
        wakeups.stop()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_thread_that_dies_says_so() -> None:
    tried = threading.Event()

    def broken() -> None:
        tried.set()
        raise LookupError("no such thing")

    wakeups = Wakeups(broken, ("one",), {})  # type: ignore[arg-type]
    assert wakeups.failure() is None
    wakeups.start()
    assert tried.wait(10)
    wait_until(lambda: "no such thing" in (wakeups.failure() or ""), what="the failure")
    assert not wakeups.listening.is_set()
    wakeups.stop()
