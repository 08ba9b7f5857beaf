"""The writer: one of it, groups that harm nobody when one command fails, bounds, ends, and what is in doubt."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import Connection, create_engine, text, update

from branch_node.commands.count_inputs import CountInput, count_of
from branch_node.commands.counts import RecordCount
from branch_node.database.schema import LOG
from branch_node.database.store import AlreadyWriting, Store
from branch_node.database.stored_runs import read_runs
from branch_node.model import Command, Decision, View
from branch_node.sync.sync_state import sync_state_write
from branch_node.writer import command_queue
from branch_node.writer.writer import Writer
from shared.chain import Head
from shared.event_log import read_head
from shared.runtime.clock import IdFactory, NodeClock
from shared.runtime.problems import Problem, Recorded
from tests.support.branch import PLACE, Branch, TestClock, a_branch, read
from tests.support.log_check import verify_log
from tests.support.waiting import wait_until

END_WRITER = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'larder branch writer'"


class Broken(Command):
    """A mistake of ours, in one of the three places where it can be."""

    def __init__(self, where: str) -> None:
        self.where = where
        self.key, self.digest = f"broken-{where}", "0" * 64

    def decide(self, view: View) -> Decision:
        if self.where == "decide":
            raise KeyError("broken")
        if self.where == "write":
            return Decision(writes=[_refuse])
        return Decision(answer="never")

    def __repr__(self) -> str:
        return self.where


class Counted(Command):
    """Writes something that is no event, and counts how often what follows its commit is done."""

    def __init__(self, done: list[int], look: Callable[[], None] = lambda: None) -> None:
        self.done = done
        self.look = look

    def decide(self, view: View) -> Decision:
        self.look()
        return Decision(
            writes=[sync_state_write(PLACE, {"detail": "counted"})],
            after_commit=[lambda: self.done.append(len(self.done) + 1)],
        )


def _refuse(connection: Connection) -> None:
    connection.execute(text("INSERT INTO head (location_id, epoch, sequence, hash) SELECT * FROM head"))


class Gate(Command):
    """Holds the writer until it is opened."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self.open = threading.Event()

    def decide(self, view: View) -> Decision:
        self.reached.set()
        assert self.open.wait(20)
        return Decision(answer="passed")


@pytest.fixture
def running(any_branch: Branch) -> Iterator[Branch]:
    any_branch.writer.start()
    yield any_branch
    any_branch.writer.stop()


def test_a_second_writer_is_refused_at_once(any_branch: Branch) -> None:
    second = Writer(any_branch.store, NodeClock(TestClock()), IdFactory())
    with pytest.raises(AlreadyWriting, match="another process"):
        second.open()
    any_branch.event("PURCHASE_RECEIVED", "milk", 1)


def test_a_second_directory_on_the_same_postgresql_is_refused(
    postgres_url_factory: Callable[..., str], tmp_path: Path
) -> None:
    with a_branch(tmp_path / "a", postgres_url_factory()) as branch:
        elsewhere = Store(branch.store.url, tmp_path / "b")
        with pytest.raises(AlreadyWriting, match="BEY-01"):
            Writer(elsewhere, NodeClock(TestClock()), IdFactory()).open()
        elsewhere.close()
        branch.event("PURCHASE_RECEIVED", "milk", 1)


def test_once_closed_another_may_write(any_branch: Branch) -> None:
    any_branch.event("PURCHASE_RECEIVED", "milk", 1)
    any_branch.writer.close()
    again = Branch(any_branch.store, any_branch.clock, seed=2)
    again.writer.open()
    assert again.writer.head.sequence == 1
    again.event("PURCHASE_RECEIVED", "milk", 2, key="other")
    assert again.on_hand() == 3_000
    again.writer.close()


@pytest.mark.parametrize("where", ["decide", "write"])
def test_one_broken_command_harms_no_other(any_branch: Branch, where: str) -> None:
    good = [any_branch.event_command("ORDER_DEDUCTION", "milk", 1) for _ in range(4)]
    outcomes = any_branch.writer.commit([*good[:2], Broken(where), *good[2:]])
    assert isinstance(outcomes[2], Exception)
    assert not isinstance(outcomes[2], Problem)
    assert [outcomes[place].sequence for place in (0, 1, 3, 4)] == [1, 2, 3, 4]
    assert any_branch.on_hand() == -4_000
    with any_branch.store.reading() as connection:
        assert verify_log(connection, LOG).sequence == 4


def test_a_group_is_one_transaction(any_branch: Branch) -> None:
    before = any_branch.writer.groups
    any_branch.writer.commit([any_branch.event_command("ORDER_DEDUCTION", "milk", 1) for _ in range(50)])
    assert any_branch.writer.groups == before + 1
    assert any_branch.writer.head.sequence == 50


def test_repeats_old_and_new_in_one_group_are_answered_as_before(any_branch: Branch) -> None:
    old = any_branch.event_command("PURCHASE_RECEIVED", "milk", 5)
    before = any_branch.run(old)
    any_branch.event("ORDER_DEDUCTION", "milk", 1)
    new, other = (any_branch.event_command(kind, "milk", 2) for kind in ("ORDER_DEDUCTION", "PURCHASE_RECEIVED"))
    old_again, first, _, first_again, old_once_more = any_branch.writer.commit([old, new, other, new, old])
    assert old_again == old_once_more == before
    assert first_again == first
    assert float(bytes(first.on_hand_after)) == 2


def test_whoever_waits_is_committed_together_and_answered_apart(running: Branch) -> None:
    gate = Gate()
    held = running.writer.submit(gate)
    assert gate.reached.wait(20)
    before = running.writer.groups
    futures = [running.writer.submit(running.event_command("ORDER_DEDUCTION", "milk", 1)) for _ in range(20)]
    many = running.writer.submit_all(
        [running.event_command("ORDER_DEDUCTION", item_id, 1) for item_id in ("milk", "nothing", "cup")]
    )
    refused = running.writer.submit(running.event_command("ORDER_DEDUCTION", "nothing", 1))
    gate.open.set()
    assert held.result(20) == "passed"
    assert [future.result(20).sequence for future in futures] == list(range(1, 21))
    first, second, third = many.result(20)
    assert (first.sequence, second.code, third.sequence) == (21, "unknown-item", 22)
    with pytest.raises(Problem, match="unknown-item"):
        refused.result(20)
    assert running.writer.groups == before + 1


def test_a_full_queue_is_told_at_once(running: Branch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command_queue, "QUEUE_ENTRIES", 4)  # the one being decided, and three
    gate = Gate()
    running.writer.submit(gate)
    assert gate.reached.wait(20)
    futures = [running.writer.submit(running.event_command("ORDER_DEDUCTION", "milk", 1)) for _ in range(3)]
    with pytest.raises(Problem) as caught:
        running.writer.submit(running.event_command("ORDER_DEDUCTION", "milk", 1))
    assert (caught.value.status, caught.value.code) == (503, "busy")
    gate.open.set()
    assert [future.result(20).sequence for future in futures] == [1, 2, 3]


def test_groups_are_bounded(running: Branch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command_queue, "GROUP_COMMANDS", 4)
    gate = Gate()
    running.writer.submit(gate)
    assert gate.reached.wait(20)
    before = running.writer.groups
    futures = [running.writer.submit(running.event_command("ORDER_DEDUCTION", "milk", 1)) for _ in range(10)]
    gate.open.set()
    assert [future.result(20).sequence for future in futures] == list(range(1, 11))
    assert running.writer.groups == before + 3


def test_stopping_commits_what_waits_and_takes_nothing_more(any_branch: Branch) -> None:
    any_branch.writer.start()
    gate = Gate()
    any_branch.writer.submit(gate)
    assert gate.reached.wait(20)
    futures = [any_branch.writer.submit(any_branch.event_command("ORDER_DEDUCTION", "milk", 1)) for _ in range(5)]
    stopping = threading.Thread(target=any_branch.writer.stop)
    stopping.start()
    wait_until(lambda: not any_branch.writer._accepting)
    with pytest.raises(Problem) as caught:
        any_branch.writer.submit(any_branch.event_command("ORDER_DEDUCTION", "milk", 1))
    assert (caught.value.status, caught.value.code) == (503, "not-writing")
    gate.open.set()
    assert [future.result(20).sequence for future in futures] == [1, 2, 3, 4, 5]
    stopping.join(20)
    assert any_branch.writer.problem() is None


def test_another_writer_ends_this_one(any_branch: Branch) -> None:
    any_branch.event("PURCHASE_RECEIVED", "milk", 1)
    engine = create_engine(any_branch.store.url)
    with engine.begin() as connection:
        connection.execute(update(LOG.head).values(sequence=7))
    engine.dispose()
    any_branch.writer.start()
    future = any_branch.writer.submit(any_branch.event_command("ORDER_DEDUCTION", "milk", 1))
    with pytest.raises(Problem) as caught:
        future.result(20)
    assert caught.value.code == "not-writing"
    wait_until(lambda: not any_branch.writer._thread.is_alive(), what="the writer's end")  # type: ignore[union-attr]
    assert "StaleHead" in (any_branch.writer.problem() or "")
    with pytest.raises(Problem, match="not-writing"):
        any_branch.writer.submit(any_branch.event_command("ORDER_DEDUCTION", "milk", 1))
    assert len(any_branch.events()) == 1


def test_listeners_hear_of_every_commit_of_events_before_the_answer(running: Branch) -> None:
    heads: list[Head] = []
    running.writer.on_commit(heads.append)
    assert running.writer.submit(running.event_command("ORDER_DEDUCTION", "milk", 1)).result(20).sequence == 1
    assert [head.sequence for head in heads] == [1]
    with pytest.raises(Problem):
        running.writer.submit(running.event_command("ORDER_DEDUCTION", "nothing", 1)).result(20)
    assert [head.sequence for head in heads] == [1]
    assert heads[0] == running.writer.head


@pytest.mark.parametrize("after", [False, True])
def test_a_commit_in_doubt_is_neither_lost_nor_doubled(
    any_branch: Branch, monkeypatch: pytest.MonkeyPatch, after: bool
) -> None:
    """The connection breaks in COMMIT: before it took effect, or after."""
    writing = any_branch.writer._writing
    assert writing is not None
    real, calls = writing.commit, []

    def commit() -> None:
        calls.append(1)
        if len(calls) > 1:
            return real()
        if after:
            real()
        raise sqlite3.OperationalError("the connection went away")

    monkeypatch.setattr(writing, "commit", commit)
    outcomes = any_branch.writer.commit([any_branch.event_command("ORDER_DEDUCTION", "milk", 1) for _ in range(3)])
    assert [each.sequence for each in outcomes] == [1, 2, 3]
    assert any_branch.on_hand() == -3_000
    assert any_branch.event("ORDER_DEDUCTION", "milk", 1).sequence == 4


def _fail_once(branch: Branch, monkeypatch: pytest.MonkeyPatch, error: Exception, *, after: bool) -> None:
    """The next COMMIT fails with `error`, before or after it took effect."""
    writing = branch.writer._writing
    assert writing is not None
    real = writing.commit

    def commit() -> None:
        monkeypatch.setattr(writing, "commit", real)
        if after:
            real()
        raise error

    monkeypatch.setattr(writing, "commit", commit)


def _busy() -> sqlite3.OperationalError:
    error = sqlite3.OperationalError("database is locked")
    error.sqlite_errorcode = sqlite3.SQLITE_BUSY
    return error


@pytest.mark.parametrize("after", [False, True])
def test_a_busy_commit_says_what_became_of_it(branch: Branch, monkeypatch: pytest.MonkeyPatch, after: bool) -> None:
    heads: list[Head] = []
    branch.writer.on_commit(heads.append)
    _fail_once(branch, monkeypatch, _busy(), after=after)
    command = branch.event_command("ORDER_DEDUCTION", "milk", 1)
    (outcome,) = branch.writer.commit([command])
    if after:
        assert outcome.sequence == 1
        assert [head.sequence for head in heads] == [1], "what it wakes is woken all the same"
    else:
        assert (outcome.code, outcome.recorded) == ("database-busy", Recorded.NO)
    assert branch.run(command).sequence == 1
    assert branch.on_hand() == -1_000


@pytest.mark.parametrize("after", [False, True])
def test_a_busy_commit_without_an_event_says_what_became_of_it(
    any_branch: Branch, monkeypatch: pytest.MonkeyPatch, after: bool
) -> None:
    """As for an area of an open count, whose commit leaves the head where it is."""
    given = read(CountInput, {"count_id": "c-1", "lines": [{"item_id": "milk", "counted": 4}], "open": True})
    command = RecordCount(count_of(given), key="k-1", actor="staff-1")
    _fail_once(any_branch, monkeypatch, _busy(), after=after)
    (outcome,) = any_branch.writer.commit([command])
    if after:
        assert len(outcome.waiting) == 1
    else:
        assert (outcome.code, outcome.recorded) == ("database-busy", Recorded.NO)
    assert len(any_branch.run(command).waiting) == 1


@pytest.mark.parametrize("after", [False, True])
def test_what_follows_a_commit_is_done_once_though_its_answer_was_lost(
    any_branch: Branch, monkeypatch: pytest.MonkeyPatch, after: bool
) -> None:
    done: list[int] = []
    start = any_branch.node_clock.start
    assert start is not None
    _fail_once(any_branch, monkeypatch, _busy(), after=after)
    (outcome,) = any_branch.writer.commit([Counted(done)])
    assert done == ([1, 2] if after else []), "decided again where it was committed, as it has no key"
    assert isinstance(outcome, Problem) is not after
    _fail_once(any_branch, monkeypatch, _busy(), after=after)
    any_branch.writer.commit([any_branch.event_command("ORDER_DEDUCTION", "milk", 1)])
    assert any_branch.node_clock.start is (None if after else start)
    with any_branch.store.reading() as connection:
        assert len(read_runs(connection, 0)) == (1 if after else 0)


def test_what_follows_a_commit_is_done_before_the_next_command_where_the_database_was_away(
    any_branch: Branch, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[int] = []
    connect = Writer._connect
    _fail_once(any_branch, monkeypatch, psycopg.OperationalError("the connection is lost"), after=True)
    writing = any_branch.writer._writing
    assert writing is not None

    def lost() -> None:
        monkeypatch.setattr(Writer, "_connect", refused)
        raise psycopg.OperationalError("the connection is lost")

    def refused(_writer: Writer) -> Any:
        raise psycopg.OperationalError("connection refused")

    monkeypatch.setattr(writing, "rollback", lost)
    (outcome,) = any_branch.writer.commit([Counted(done)])
    assert outcome.recorded is Recorded.UNKNOWN
    (other,) = any_branch.writer.commit([any_branch.event_command("ORDER_DEDUCTION", "milk", 1)])
    assert other.recorded is Recorded.NO, "it never reached a COMMIT"
    assert done == []
    monkeypatch.setattr(Writer, "_connect", connect)
    seen: list[int] = []
    any_branch.run(Counted(done, lambda: seen.extend(done)))
    assert seen == [1]


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("back", [False, True])
def test_a_connection_lost_in_commit_leaves_no_false_answer(
    postgres_url_factory: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: bool, back: bool
) -> None:
    """PostgreSQL ends the connection before or after COMMIT; a new one can be had at once, or not yet."""
    with a_branch(tmp_path, postgres_url_factory()) as branch:
        branch.event("PURCHASE_RECEIVED", "milk", 100)
        writing = branch.writer._writing
        assert writing is not None
        real, connect = writing.commit, Writer._connect

        def commit() -> None:
            if after:
                real()
            engine = create_engine(branch.store.url)
            with engine.begin() as connection:
                connection.execute(text(END_WRITER))
            engine.dispose()
            if not back:
                monkeypatch.setattr(Writer, "_connect", refused)
            if not after:
                real()
            raise psycopg.OperationalError("the connection is lost")

        def refused(_writer: Writer) -> Any:
            raise psycopg.OperationalError("connection refused")

        monkeypatch.setattr(writing, "commit", commit)
        command = branch.event_command("ORDER_DEDUCTION", "milk", 7)
        (outcome,) = branch.writer.commit([command])
        if back and after:
            assert outcome.sequence == 2
        else:
            assert (outcome.status, outcome.code) == (503, "database-unavailable")
            assert outcome.recorded is (Recorded.NO if back else Recorded.UNKNOWN)
        monkeypatch.setattr(Writer, "_connect", connect)
        for _ in range(2):
            assert branch.run(command).sequence == 2
        assert branch.on_hand() == 93_000


def test_a_lost_postgresql_connection_is_found_again(postgres_url_factory: Callable[..., str], tmp_path: Path) -> None:
    from tests.support.branch import a_branch

    with a_branch(tmp_path, postgres_url_factory()) as branch:
        branch.event("PURCHASE_RECEIVED", "milk", 1)
        engine = create_engine(branch.store.url)
        with engine.begin() as connection:
            assert connection.execute(text(END_WRITER)).scalars().all() == [True]
        engine.dispose()
        command = branch.event_command("ORDER_DEDUCTION", "milk", 1)
        (outcome,) = branch.writer.commit([command])
        assert isinstance(outcome, Problem)
        assert (outcome.status, outcome.code) == (503, "database-unavailable")
        assert branch.run(command).sequence == 2
        assert branch.on_hand() == 0


def test_a_locked_database_is_busy_for_a_while_only(branch: Branch) -> None:
    engine = create_engine(branch.store.url)
    with engine.connect() as other:
        writing = branch.writer._writing
        assert writing is not None
        writing.connection.exec_driver_sql("PRAGMA busy_timeout=50")
        other.exec_driver_sql("BEGIN IMMEDIATE")
        command = branch.event_command("ORDER_DEDUCTION", "milk", 1)
        (outcome,) = branch.writer.commit([command])
        assert isinstance(outcome, Problem)
        assert (outcome.status, outcome.code) == (503, "database-busy")
        other.exec_driver_sql("ROLLBACK")
        assert branch.run(command).sequence == 1
    engine.dispose()


def test_a_full_disk_refuses_reads_go_on_and_it_recovers(branch: Branch) -> None:
    branch.event("PURCHASE_RECEIVED", "milk", 5)
    writing = branch.writer._writing
    assert writing is not None
    pages = writing.connection.exec_driver_sql("PRAGMA page_count").scalar_one()
    writing.connection.exec_driver_sql(f"PRAGMA max_page_count={pages}")
    notes = ["x" * 900] * 40
    commands = [branch.event_command("ORDER_DEDUCTION", "milk", 1, note=note) for note in notes]
    outcomes = branch.writer.commit(commands)
    assert {(each.status, each.code) for each in outcomes} == {(507, "disk-full")}
    assert branch.on_hand() == 5_000
    assert branch.writer.head.sequence == 1
    writing.connection.exec_driver_sql("PRAGMA max_page_count=1000000")
    assert [each.sequence for each in branch.writer.commit(commands)] == list(range(2, 42))
    with branch.store.reading() as connection:
        assert verify_log(connection, LOG).sequence == 41


def test_readers_see_the_committed_state_and_block_nobody(any_branch: Branch) -> None:
    any_branch.event("PURCHASE_RECEIVED", "milk", 1)
    with any_branch.store.reading() as connection:
        assert _sequence(connection) == 1
        any_branch.event("PURCHASE_RECEIVED", "milk", 1)
        assert _sequence(connection) == 1  # one snapshot for one answer
    with any_branch.store.reading() as connection:
        assert _sequence(connection) == 2
        with pytest.raises(Exception, match=r"readonly|read-only"):
            connection.execute(text("DELETE FROM item"))


def _sequence(connection: Connection) -> int:
    head = read_head(connection, LOG, PLACE)
    assert head is not None
    return head.sequence


def test_a_hot_item_under_32_threads_loses_nothing(running: Branch) -> None:
    each, threads = 40, 32

    def sell(number: int) -> list[Any]:
        commands = [
            running.event_command("ORDER_DEDUCTION", "milk", 1, key=f"{number}-{place}") for place in range(each)
        ]
        return [running.writer.submit(command).result(60) for command in commands]

    with ThreadPoolExecutor(threads) as pool:
        answers = [answer for some in pool.map(sell, range(threads)) for answer in some]
    assert sorted(answer.sequence for answer in answers) == list(range(1, each * threads + 1))
    assert running.on_hand() == -1_000 * each * threads
    with running.store.reading() as connection:
        assert verify_log(connection, LOG).sequence == each * threads
    assert running.writer.groups < each * threads / 2


def test_one_key_sent_by_many_at_once_has_one_effect(running: Branch) -> None:
    command = running.event_command("ORDER_DEDUCTION", "milk", 1, key="once")
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: running.writer.submit(command).result(60), range(64)))
    assert {answer.event_id for answer in answers} == {answers[0].event_id}
    assert running.on_hand() == -1_000
