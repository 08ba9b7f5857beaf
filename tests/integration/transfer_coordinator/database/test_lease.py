"""Rules 11 and 12 on two real connections: the race for a lease is forced, a lost one writes nothing, tokens grow."""

from __future__ import annotations

import threading
from random import Random
from typing import Any

import pytest
from sqlalchemy import text

from shared.messages import InstructionStep
from tests.integration.transfer_coordinator.conftest import Bench, a_transfer, cancel, create
from tests.support.waiting import wait_until
from transfer_coordinator.database import lease, transfer_writer
from transfer_coordinator.saga.planner import Policy, plan

LENGTH = 10_000_000


def put(bench: Bench, *names: str) -> None:
    """Transfers that nobody holds."""
    worker = bench.worker("creator", Policy(most_held=0))
    for name in names or ("t1",):
        create(worker, a_transfer(name, 1_000))
    worker.round(sweep=False)


def waiting_backends(bench: Bench) -> int:
    with bench.engine.connect() as connection:
        statement = (
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
        )
        return int(connection.execute(text(statement)).scalar_one())


def test_of_two_that_take_one_gets_it(bench: Bench) -> None:
    put(bench)
    with bench.engine.begin() as first, bench.engine.begin() as second:
        mine = lease.acquire(first, "one", LENGTH, ["t1"])
        # The row is locked: the second passes it over instead of waiting for the first to commit.
        assert lease.acquire(second, "two", LENGTH, ["t1"]) == {}
        assert lease.acquire_due(second, "two", LENGTH, 10) == {}
    assert mine["t1"].token == 1
    with bench.engine.begin() as second:
        assert lease.acquire(second, "two", LENGTH, ["t1"]) == {}  # and now because it is held


def test_a_lease_expires_by_the_databases_clock(bench: Bench) -> None:
    put(bench)
    with bench.engine.begin() as connection:
        assert lease.acquire(connection, "one", LENGTH, ["t1"])["t1"].token == 1
    bench.clock.turn(9)
    with bench.engine.begin() as connection:
        assert lease.acquire(connection, "two", LENGTH, ["t1"]) == {}
        assert lease.renew(connection, "one", LENGTH, {"t1": 1})["t1"].token == 1
    bench.clock.turn(9)
    with bench.engine.begin() as connection:
        assert lease.acquire(connection, "two", LENGTH, ["t1"]) == {}
    bench.clock.turn(2)
    with bench.engine.begin() as connection:
        # Expired, though nobody took it: it is lost. The same coordinator may take it again, under a new token.
        assert lease.renew(connection, "one", LENGTH, {"t1": 1}) == {}
        assert lease.acquire(connection, "one", LENGTH, ["t1"])["t1"].token == 2


def test_released_is_free_at_once(bench: Bench) -> None:
    put(bench, "t1", "t2")
    with bench.engine.begin() as connection:
        taken = lease.acquire_due(connection, "one", LENGTH, 10)
        assert sorted(taken) == ["t1", "t2"]
        lease.release(connection, "two", {"t1": 1})  # not theirs
        assert lease.acquire(connection, "two", LENGTH, ["t1"]) == {}
        lease.release(connection, "one", {"t1": 1})
        assert lease.acquire(connection, "two", LENGTH, ["t1", "t2"])["t1"].token == 2


def test_the_holder_of_a_lost_lease_writes_nothing(bench: Bench) -> None:
    put(bench)
    with bench.engine.begin() as connection:
        lease.acquire(connection, "one", LENGTH, ["t1"])
    record = bench.record()
    move = plan(record, 0, bench.clock.now(), Policy())
    assert move is not None
    assert move.record.transfer.asked == {InstructionStep.OUT}
    bench.clock.turn(11)
    with bench.engine.begin() as connection:
        assert lease.acquire(connection, "two", LENGTH, ["t1"])["t1"].token == 2
    journal = bench.journal()
    with bench.engine.begin() as connection:
        assert transfer_writer.apply(connection, "one", LENGTH, bench.clock.now(), [move]) == {}
        assert lease.renew(connection, "one", LENGTH, {"t1": 1}) == {}
        assert lease.raise_tokens(connection, "one", LENGTH, {"t1": (1, 7)}) == {}
        lease.release(connection, "one", {"t1": 1})
    assert bench.journal() == journal
    assert bench.record() == record.__class__(**{**_fields(record), "token": 2})
    with bench.engine.begin() as connection:
        assert lease.acquire(connection, "three", LENGTH, ["t1"]) == {}  # it is still the second one's


def _fields(record: object) -> dict[str, Any]:
    return {name: getattr(record, name) for name in record.__struct_fields__}  # type: ignore[attr-defined]


def test_the_race_forced_the_old_holder_writes_while_it_is_being_taken_over(bench: Bench) -> None:
    """The new holder has taken the lease and not committed; the old one's write waits for it and then finds nothing."""
    put(bench)
    with bench.engine.begin() as connection:
        lease.acquire(connection, "one", LENGTH, ["t1"])
    move = plan(bench.record(), 0, bench.clock.now(), Policy())
    assert move is not None
    bench.clock.turn(11)
    written: list[Any] = []

    def old_holder() -> None:
        with bench.engine.begin() as connection:
            written.append(transfer_writer.apply(connection, "one", LENGTH, bench.clock.now(), [move]))

    with bench.engine.begin() as taking:
        assert lease.acquire(taking, "two", LENGTH, ["t1"])["t1"].token == 2
        thread = threading.Thread(target=old_holder)
        thread.start()
        wait_until(lambda: waiting_backends(bench) == 1, what="the old holder to wait for the row")
        assert written == []
    thread.join(10)
    assert written == [{}]
    assert [state for _, state, _ in bench.journal()] == ["REQUESTED"]


def test_two_coordinators_never_wait_for_each_other_in_a_circle(bench: Bench) -> None:
    """Both write the same rows, given in opposite orders: they lock them in the order of their ids."""
    names = [f"t{number}" for number in range(20)]
    put(bench, *names)
    with bench.engine.begin() as connection:
        tokens = {name: held.token for name, held in lease.acquire_due(connection, "one", LENGTH, 100).items()}
    failures: list[BaseException] = []

    def renew(order: list[str]) -> None:
        try:
            for _ in range(30):
                with bench.engine.begin() as connection:
                    lease.renew(connection, "one", LENGTH, {name: tokens[name] for name in order})
        except BaseException as error:
            failures.append(error)
            raise

    threads = [threading.Thread(target=renew, args=(order,)) for order in (names, names[::-1])]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failures == []


def test_a_coordinator_that_slept_through_its_lease_does_no_harm(bench: Bench) -> None:
    first, second = bench.worker("one"), bench.worker("two")
    create(first)
    first.round(sweep=False)  # it holds the lease and has not sent anything yet
    bench.clock.turn(11)
    second.step()  # it took the transfer over and asked, under a higher token
    assert [(each.step.value, each.token) for each in bench.office.asked] == [("out", 2)]
    first.send()  # the first wakes up: what it had to send is passed over
    assert bench.office.asked[-1].token == 1
    assert next(iter(bench.office.kept.values())).token == 2
    before = bench.journal()
    first.step()
    assert (len(first._held), bench.journal()) == (0, before)
    bench.settle(second)
    assert bench.state() == "COMPLETED"
    assert bench.office.log("A") == ["OUT"]
    tokens = [token for token, _, _ in bench.journal()]
    assert tokens == sorted(tokens)


def test_a_wish_left_at_another_coordinator_turns_up_in_writing(bench: Bench) -> None:
    first, second = bench.worker("one"), bench.worker("two")
    bench.office.sites["B"].away = True
    create(first)
    first.step()
    bench.office.work()
    cancel(second)
    second.round(sweep=True)
    assert bench.state() == "OUT_PENDING"  # the lease is the first one's, which has not heard of it
    first.step()  # hears that the goods left, writes that they shall be received, and reads the wish while writing
    assert [(state, step) for _, state, step in bench.journal()][2:] == [
        ("IN_PENDING", "in"),
        ("CANCEL_PENDING", "refuse-in"),
    ]
    assert [each.step.value for each in bench.office.asked] == ["out", "refuse-in"]


def test_a_wish_left_at_another_coordinator_frees_what_was_given_up(bench: Bench) -> None:
    first, second = bench.worker("one"), bench.worker("two")
    bench.office.sites["A"].away = True
    create(first)
    first.step()
    cancel(second)
    second.round(sweep=True)
    bench.clock.turn(6)
    first.round(sweep=True)  # asks again and gives the lease back
    assert (len(first._held), bench.state()) == (0, "OUT_PENDING")
    second.round(sweep=True)  # it is due at once, not after the usual wait
    assert bench.state() == "OUT_CANCEL_PENDING"


@pytest.mark.parametrize("seed", range(4))
def test_tokens_only_grow_whoever_drives(bench: Bench, seed: int) -> None:
    random = Random(seed)
    workers = [bench.worker(name) for name in ("one", "two", "three")]
    for number in range(4):
        create(random.choice(workers), a_transfer(f"t{number}", 1_000))
    highest: dict[str, int] = {}
    for _ in range(80):
        worker = random.choice(workers)
        random.choice([worker.step, lambda w=worker: w.round(sweep=True), worker.send, lambda w=worker: w.poll(0)])()  # type: ignore[misc]
        if random.random() < 0.3:
            bench.clock.turn(random.choice([1, 6, 11]))
        if random.random() < 0.3:
            bench.office.work()
        with bench.engine.connect() as connection:
            for name, token in connection.execute(text("SELECT transfer_id, token FROM transfer")):
                assert token >= highest.get(name, 0)
                highest[name] = token
    for _ in range(10):
        bench.clock.turn(30)
        bench.settle(workers[0], 30)
    for number in range(4):
        assert bench.state(f"t{number}") == "COMPLETED"
        tokens = [token for token, _, _ in bench.journal(f"t{number}")]
        assert tokens == sorted(tokens)
    assert bench.office.log("A").count("OUT") == bench.office.log("B").count("IN") == 4
