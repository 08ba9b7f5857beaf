"""What was known at a moment never changes once it was told: not by ingests in flight, not by a clock that goes back.

The races are forced: one transaction is held open at the critical point until the other is seen waiting for it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

import pytest
from sqlalchemy import Engine, text

from head_office.database.schema import now
from head_office.log import decoder
from head_office.log.ingest import ingest
from head_office.log.quarantine import retry
from head_office.log.refusals import Forked
from head_office.reports.known_at import Cut, report_snapshot, settle, take_cut
from shared import wire
from shared.messages import EventsAnswer
from tests.support.consolidation import PLACE, Branch, OldVersion, assert_projection_is_the_fold, log_of, open_location
from tests.support.events import MINUTE, NOON, an_event
from tests.support.waiting import wait_until

T = TypeVar("T")
FUTURE = NOON + 100 * 365 * 24 * 60 * MINUTE  # taken as now
CLOCK = "CREATE OR REPLACE FUNCTION larder_now() RETURNS bigint LANGUAGE sql VOLATILE AS 'SELECT {}::bigint'"


def set_clock(office: Engine, at: int) -> None:
    with office.begin() as connection:
        connection.execute(text(CLOCK.format(at)))


def some(count: int, first: int = 1) -> list[Any]:
    return [an_event(seed=first + number) for number in range(count)]


def waiting(office: Engine) -> int:
    """How many sessions of this database wait for a lock."""
    with office.connect() as connection:
        query = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        return int(connection.execute(text(query)).scalar_one())


def started(pool: ThreadPoolExecutor, office: Engine, work: Callable[[], T]) -> Future[T]:
    """Begin `work` and see it wait for a lock."""
    future = pool.submit(work)
    wait_until(lambda: waiting(office) or future.done(), what="the other session to wait for a lock")
    assert not future.done(), "it did not wait"
    return future


@pytest.fixture
def branch() -> Branch:
    return Branch().record(some(6))


def asked(office: Engine, known_at: int | None) -> Cut:
    with report_snapshot(office, known_at) as (connection, settled):
        return take_cut(connection, settled)


def test_who_asks_waits_for_what_is_being_received(office: Engine, branch: Branch) -> None:
    with ThreadPoolExecutor() as pool, office.connect() as receiving:
        transaction = receiving.begin()
        answer = ingest(receiving, wire.unpack(branch.pack(1, 4)))
        moment = answer.received_at
        question = started(pool, office, lambda: asked(office, moment))
        transaction.commit()
        assert question.result(10) == Cut(moment, {PLACE: 4})
    assert asked(office, moment - 1).sequences == {PLACE: 0}


def test_who_asks_does_not_wait_for_what_is_given_up(office: Engine, branch: Branch) -> None:
    with ThreadPoolExecutor() as pool, office.connect() as receiving:
        transaction = receiving.begin()
        moment = ingest(receiving, wire.unpack(branch.pack(1, 4))).received_at
        question = started(pool, office, lambda: asked(office, moment))
        transaction.rollback()
        assert question.result(10) == Cut(moment, {PLACE: 0})
    assert branch.ship(office).received_at > moment


def test_an_ingest_that_comes_after_the_question_is_received_later(office: Engine, branch: Branch) -> None:
    set_clock(office, NOON)
    branch.ship(office, 1, 2)
    assert asked(office, NOON) == Cut(NOON, {PLACE: 2})
    set_clock(office, NOON - MINUTE)
    assert branch.ship(office, 3, 4).received_at == NOON + 1
    assert asked(office, NOON) == Cut(NOON, {PLACE: 2})
    assert asked(office, NOON + 1) == Cut(NOON + 1, {PLACE: 4})


def test_a_moment_told_while_nothing_arrived_stays_empty_though_the_clock_goes_back(
    office: Engine, branch: Branch
) -> None:
    set_clock(office, NOON)
    assert asked(office, NOON) == Cut(NOON, {PLACE: 0})
    set_clock(office, NOON - MINUTE)
    assert branch.ship(office).received_at == NOON + 1
    assert asked(office, NOON) == Cut(NOON, {PLACE: 0})


def test_the_future_is_taken_as_now(office: Engine, branch: Branch) -> None:
    set_clock(office, NOON)
    branch.ship(office, 1, 2)
    assert asked(office, NOON + 365 * 24 * 60 * MINUTE) == Cut(NOON, {PLACE: 2})
    set_clock(office, NOON + MINUTE)
    assert branch.ship(office, 3, 3).received_at == NOON + MINUTE
    with office.begin() as connection:
        assert settle(connection, NOON) == NOON


def test_nothing_stays_locked_behind_a_question(office: Engine, branch: Branch) -> None:
    with office.begin() as connection:
        take_cut(connection, settle(connection, now(connection)))
        query = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()"
        assert connection.execute(text(query)).scalar_one() == 0
        assert branch.ship(office).appended == 6  # on another connection, while this transaction is open


def test_a_question_that_is_cancelled_leaves_no_lock(office: Engine, branch: Branch) -> None:
    with office.connect() as receiving, office.connect() as asking:
        transaction = receiving.begin()
        moment = ingest(receiving, wire.unpack(branch.pack(1, 4))).received_at
        asking.execute(text("SET statement_timeout = '200ms'"))
        with pytest.raises(Exception, match="statement timeout"):
            settle(asking, moment)
        asking.rollback()
        transaction.commit()
        assert branch.ship(office, 5).appended == 2
        assert take_cut(asking, settle(asking, moment)) == Cut(moment, {PLACE: 4})


def test_a_location_asked_for_alone(office: Engine, branch: Branch) -> None:
    with office.begin() as connection:
        open_location(connection, "BEY-02")
    branch.ship(office)
    with office.begin() as connection:
        assert take_cut(connection).sequences == {PLACE: 6, "BEY-02": 0}
        assert take_cut(connection, None, ["BEY-02"]).sequences == {"BEY-02": 0}


def test_what_came_out_of_quarantine_is_known_from_then_on(office: Engine) -> None:
    branch = Branch().record([an_event(), an_event(seed=2, note="new")])
    with pytest.MonkeyPatch.context() as old:
        old.setattr(decoder, "understand", OldVersion.understand)
        received_at = branch.ship(office).received_at
    with office.begin() as connection:
        retry(connection, PLACE)
    assert asked(office, received_at) == Cut(received_at, {PLACE: 2}, hides_releases=True)
    with office.begin() as connection:
        assert not take_cut(connection, settle(connection, now(connection))).hides_releases


def test_who_asks_waits_for_a_retry(office: Engine) -> None:
    branch = Branch().record([an_event(note="new")])
    with pytest.MonkeyPatch.context() as old:
        old.setattr(decoder, "understand", OldVersion.understand)
        branch.ship(office)
    with ThreadPoolExecutor() as pool, office.connect() as retrying:
        transaction = retrying.begin()
        retry(retrying, PLACE)
        moment = now(retrying)
        question = started(pool, office, lambda: asked(office, moment))
        transaction.commit()
        assert not question.result(10).hides_releases


# Two at one location


def test_of_two_who_ship_the_same_one_passes_over(office: Engine, branch: Branch) -> None:
    with ThreadPoolExecutor() as pool, office.connect() as first:
        transaction = first.begin()
        assert ingest(first, wire.unpack(branch.pack(1, 4))).appended == 4
        second = started(pool, office, lambda: branch.ship(office, 1, 6))
        transaction.commit()
        answer = second.result(10)
        assert (answer.appended, answer.passed_over) == (2, 4)


def test_who_ships_after_one_that_failed_takes_it_all(office: Engine, branch: Branch) -> None:
    with ThreadPoolExecutor() as pool, office.connect() as first:
        transaction = first.begin()
        ingest(first, wire.unpack(branch.pack(1, 4)))
        second = started(pool, office, lambda: branch.ship(office, 1, 6))
        transaction.rollback()
        assert second.result(10).appended == 6


def test_of_two_that_differ_the_later_is_told_of_the_fork(office: Engine, branch: Branch) -> None:
    other = Branch().record(some(6, first=50))
    with ThreadPoolExecutor() as pool, office.connect() as first:
        transaction = first.begin()
        ingest(first, wire.unpack(branch.pack(1, 4)))
        second = started(pool, office, lambda: other.ship(office))
        transaction.commit()
        with pytest.raises(Forked):
            second.result(10)


def test_many_at_once_and_every_answer_stays_true(office: Engine) -> None:
    """Several locations, each shipped by two nodes at a time, while others ask what was known, and ask again."""
    places = [PLACE, "BEY-02", "BEY-03"]
    with office.begin() as connection:
        for place in places[1:]:
            open_location(connection, place)
    branches = [Branch(place).record(some(40)) for place in places]
    told: list[Cut] = []
    done = threading.Event()

    def ship(branch: Branch, size: int) -> list[EventsAnswer]:
        return [branch.ship(office, first, min(first + size, 40)) for first in range(1, 41, size)]

    def ask() -> None:
        while not done.is_set():
            told.append(asked(office, FUTURE))

    with ThreadPoolExecutor(8) as pool:
        askers = [pool.submit(ask) for _ in range(2)]
        shippers = [pool.submit(ship, branch, size) for branch in branches for size in (3, 5)]
        answers = [answer for each in shippers for answer in each.result(60)]
        done.set()
        for asker in askers:
            asker.result(60)
    assert sum(answer.appended for answer in answers) == 120
    assert len(told) > 10
    for cut in told:
        assert asked(office, cut.known_at) == cut
    with office.connect() as connection:
        for branch in branches:
            assert log_of(connection, branch.location_id) == branch.lines
        assert_projection_is_the_fold(connection)
