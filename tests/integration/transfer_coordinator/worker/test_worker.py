"""The worker on a real database, with head office as a model: every way a transfer goes, and every way it is asked."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest
from sqlalchemy.exc import OperationalError

from shared.runtime.problems import Problem
from tests.integration.transfer_coordinator.conftest import Bench, a_transfer, cancel, create
from tests.integration.transfer_coordinator.office_model import IN
from transfer_coordinator.saga.planner import Policy


def test_the_straight_way(bench: Bench) -> None:
    worker = bench.worker()
    wish = create(worker, a_transfer(items=("milk", "rice")))
    worker.step()
    assert wish.future.result(0).state == "OUT_PENDING"
    assert bench.journal() == [(1, "REQUESTED", None), (1, "OUT_PENDING", "out")]
    bench.office.work()
    worker.step()
    assert bench.journal()[2:] == [(1, "IN_PENDING", "in")]
    bench.office.work()
    worker.step()
    assert bench.journal()[3:] == [(1, "COMPLETED", None)]
    assert bench.office.log("A") == ["OUT", "OUT"]
    assert bench.office.log("B") == ["IN", "IN"]
    assert (bench.office.stock("milk"), bench.office.in_transit("milk")) == (100_000, 0)
    assert len(worker._held) == 0
    assert worker.step() == 0


def test_many_at_once_are_one_request_a_step(bench: Bench) -> None:
    worker = bench.worker()
    for number in range(50):
        create(worker, a_transfer(f"t{number}", 1_000))
    bench.settle(worker)
    assert {bench.state(f"t{number}") for number in range(50)} == {"COMPLETED"}
    assert bench.office.requests.count("/v1/instructions") == 2


def test_refused_at_the_source(bench: Bench) -> None:
    worker = bench.worker()
    create(worker, a_transfer(quantity=100_001))
    bench.settle(worker)
    assert (bench.state(), bench.record().end_reason) == ("REJECTED", "insufficient-stock")
    assert bench.office.log("B") == []


def test_refused_at_the_destination_and_reversed(bench: Bench) -> None:
    worker = bench.worker()
    bench.office.sites["B"].unknown_items.add("milk")
    create(worker)
    bench.settle(worker)
    assert (bench.state(), bench.record().end_reason) == ("REVERSED", "unknown-item")
    assert bench.office.sites["A"].stock["milk"] == 100_000


def test_cancelled_before_the_source_heard_of_it(bench: Bench) -> None:
    worker = bench.worker()
    bench.office.sites["A"].away = True
    create(worker)
    worker.step()
    wish = cancel(worker)
    worker.step()
    answer = wish.future.result(0)
    assert answer is not None
    assert answer.state == "OUT_CANCEL_PENDING"
    bench.office.sites["A"].away = False
    bench.settle(worker)
    assert (bench.state(), bench.record().end_reason) == ("REJECTED", "cancelled")
    # under a higher token, so that the instruction to send is passed over though it was asked first
    assert [(each.step.value, each.token) for each in bench.office.asked] == [("out", 1), ("refuse-out", 2)]


def test_cancelled_on_the_way(bench: Bench) -> None:
    worker = bench.worker()
    bench.office.sites["B"].away = True
    create(worker)
    bench.settle(worker)
    assert bench.state() == "IN_PENDING"
    assert bench.office.in_transit("milk") == 10_000
    cancel(worker)
    bench.settle(worker)
    assert bench.state() == "CANCEL_PENDING"
    bench.office.sites["B"].away = False
    bench.settle(worker)
    assert bench.state() == "REVERSED"
    assert bench.office.log("B") == ["REFUSED"]
    assert (bench.office.stock("milk"), bench.office.in_transit("milk")) == (100_000, 0)


def test_cancelled_too_late(bench: Bench) -> None:
    worker = bench.worker()
    create(worker)
    worker.step()
    bench.office.work()
    worker.step()
    bench.office.work()  # received, but not heard of yet
    wish = cancel(worker)
    bench.settle(worker)
    assert wish.future.result(0) is not None
    assert bench.state() == "COMPLETED"


def test_cancel_of_what_is_not_there_or_over(bench: Bench) -> None:
    worker = bench.worker()
    wish = cancel(worker, "nobody")
    worker.step()
    assert wish.future.result(0) is None
    create(worker)
    bench.settle(worker)
    late = cancel(worker)
    worker.step()
    record = late.future.result(0)
    assert record is not None
    assert (record.state, record.transfer.cancel_requested_at) == ("COMPLETED", None)


def test_the_deadline_calls_back(bench: Bench) -> None:
    worker = bench.worker()
    bench.office.sites["B"].away = True
    create(worker, a_transfer(deadline=bench.clock.now() + 60_000_000))
    bench.settle(worker)
    bench.clock.turn(59)
    worker.step()
    assert bench.state() == "IN_PENDING"
    bench.clock.turn(2)
    bench.settle(worker)
    assert bench.state() == "CANCEL_PENDING"
    bench.office.sites["B"].away = False
    bench.settle(worker)
    assert bench.state() == "REVERSED"


def test_an_unanswered_instruction_is_asked_again_ever_more_seldom(bench: Bench) -> None:
    worker = bench.worker(policy=Policy(ask_again=5, ask_again_longest=20))
    bench.office.sites["A"].away = True
    create(worker)
    bench.settle(worker)
    asked = [len(bench.office.asked)]
    for _ in range(60):
        bench.clock.turn(1)
        worker.step()
        asked.append(len(bench.office.asked))
    # at 5, then 10, 20 and 20 seconds later: five times with the first
    assert asked[-1] == 5
    assert bench.record().attempts == 5
    # the lease is given back between, and each time taken under a higher token; the journal holds one line of it all
    assert [step for _, _, step in bench.journal()] == [None, "out"]
    bench.office.sites["A"].away = False
    bench.settle(worker)
    assert bench.state() == "COMPLETED"


def test_head_office_away_and_back(bench: Bench) -> None:
    worker = bench.worker()
    bench.office.down = True
    wish = create(worker)
    for _ in range(20):
        worker.step()
        bench.clock.turn(0.05)
    assert wish.future.result(0).state == "OUT_PENDING"
    assert 2 <= len(bench.office.requests) <= 12  # it is left alone ever longer
    bench.office.down = False
    bench.clock.turn(20)
    bench.settle(worker)
    assert bench.state() == "COMPLETED"


def test_facts_that_were_missed_are_looked_up(bench: Bench) -> None:
    worker = bench.worker()
    create(worker)
    worker.step()
    bench.office.work()
    worker._cursor = '{"A":100,"B":100}'  # a head office that was restored, and told more before
    bench.clock.turn(6)
    worker.step()
    worker.step()
    assert bench.state() == "IN_PENDING"


def test_the_same_wish_twice_is_one_transfer(bench: Bench) -> None:
    worker = bench.worker()
    first, second = create(worker), create(worker)
    worker.step()
    worker.step()
    assert first.future.result(0).transfer == second.future.result(0).transfer
    other = create(worker, digest="cd" * 32)
    worker.step()
    with pytest.raises(Problem) as refused:
        other.future.result(0)
    assert refused.value.code == "key-reused"
    bench.settle(worker)
    assert bench.office.log("A") == ["OUT"]
    again = create(worker)
    worker.step()
    assert again.future.result(0).state == "COMPLETED"


def test_one_key_for_two_transfers_is_refused(bench: Bench) -> None:
    worker = bench.worker()
    create(worker, a_transfer("t1"), command_key="monday")
    other = create(worker, a_transfer("t2"), command_key="monday")
    worker.step()
    worker.step()
    with pytest.raises(Problem) as refused:
        other.future.result(0)
    assert refused.value.extras == {"transfer_id": "t1"}


def test_more_than_it_can_hold_wait_their_turn(bench: Bench) -> None:
    worker = bench.worker(policy=Policy(most_held=2))
    for number in range(5):
        create(worker, a_transfer(f"t{number}", 1_000))
    worker.step()
    assert len(worker._held) == 2
    assert sorted(bench.state(f"t{number}") for number in range(5)) == ["OUT_PENDING"] * 2 + ["REQUESTED"] * 3
    bench.settle(worker, 30)
    assert {bench.state(f"t{number}") for number in range(5)} == {"COMPLETED"}


def test_a_refused_instruction_stops_no_other(bench: Bench) -> None:
    worker = bench.worker()
    bench.office.refuses = lambda instruction: instruction.transfer_id == "t3"
    for number in range(6):
        create(worker, a_transfer(f"t{number}", 1_000))
    bench.settle(worker)
    states = [bench.state(f"t{number}") for number in range(6)]
    assert states == ["COMPLETED"] * 3 + ["OUT_PENDING"] + ["COMPLETED"] * 2


def test_a_cancel_before_anything_was_asked_looks_first(bench: Bench) -> None:
    holding = bench.worker("one", Policy(most_held=0))  # takes wishes down and drives none
    create(holding)
    holding.round(sweep=False)
    cancel(holding)
    holding.round(sweep=False)
    assert bench.state() == "REQUESTED"
    worker = bench.worker("two")
    bench.settle(worker)
    assert (bench.state(), bench.record().end_reason) == ("REJECTED", "never-asked")
    assert bench.office.asked == []
    assert "/v1/transfer-facts" in bench.office.requests


def test_what_the_logs_say_against_an_end_is_noted(bench: Bench) -> None:
    worker = bench.worker()
    create(worker)
    bench.settle(worker)
    bench.office.sites["B"].record("t1", IN, "milk", 10_000)
    bench.office.work()
    bench.settle(worker)
    assert (bench.state(), bench.record().conflict) == ("COMPLETED", "received-more-than-sent")


def test_a_commit_whose_answer_was_lost_is_looked_up(bench: Bench) -> None:
    """The database committed and the connection broke: what was written is found, not written twice."""
    worker = bench.worker()
    create(worker)
    worker.step()
    bench.office.work()
    dialect: Any = bench.engine.dialect
    commit = dialect.do_commit

    def lost(connection: Any) -> None:
        commit(connection)
        dialect.do_commit = commit
        raise OperationalError("COMMIT", {}, psycopg.OperationalError("the connection is lost"))

    dialect.do_commit = lost
    worker.poll(0)
    with pytest.raises(Problem) as failed:
        worker.round(sweep=True)
    assert failed.value.code == "database-unavailable"
    assert [state for _, state, _ in bench.journal()] == ["REQUESTED", "OUT_PENDING", "IN_PENDING"]
    bench.clock.turn(6)
    bench.settle(worker)
    assert [state for _, state, _ in bench.journal()] == ["REQUESTED", "OUT_PENDING", "IN_PENDING", "COMPLETED"]


def test_the_database_goes_away_and_comes_back(bench: Bench) -> None:
    worker = bench.worker()
    create(worker)
    worker.step()
    others = "pid <> pg_backend_pid() AND datname = current_database()"
    with bench.engine.connect() as connection:
        connection.exec_driver_sql(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {others}")
    wish = create(worker, a_transfer("t2", 1_000))
    with pytest.raises(Problem):
        worker.step()
    refused = wish.future.exception(0)
    assert isinstance(refused, Problem)
    assert refused.status == 503
    again = create(worker, a_transfer("t2", 1_000))
    bench.settle(worker)
    assert again.future.result(0).state == "OUT_PENDING"
    assert (bench.state(), bench.state("t2")) == ("COMPLETED", "COMPLETED")


def test_one_that_the_database_refuses_stops_no_other(bench: Bench) -> None:
    """A row that breaks a constraint nobody thought of: the others go on, and its caller is told."""
    worker = bench.worker()
    good, bad = create(worker, a_transfer("good", 1_000)), create(worker, a_transfer("bad", 1_000), digest="ab")
    worker.step()
    assert good.future.result(0).state == "OUT_PENDING"
    refused = bad.future.exception(0)
    assert isinstance(refused, Problem)
    assert refused.code == "internal-error"
    # one that cannot be written any more, among others
    with bench.engine.begin() as connection:
        connection.exec_driver_sql(
            "CREATE FUNCTION stuck() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
            "IF NEW.transfer_id = 'stuck' AND NEW.state = 'IN_PENDING' THEN RAISE 'never' USING ERRCODE = '23000'; "
            "END IF; RETURN NEW; END $$"
        )
        connection.exec_driver_sql("CREATE TRIGGER s BEFORE UPDATE ON transfer FOR EACH ROW EXECUTE FUNCTION stuck()")
    create(worker, a_transfer("stuck", 1_000))
    create(worker, a_transfer("free", 1_000))
    bench.settle(worker)
    assert {name: bench.state(name) for name in ("good", "free", "stuck")} == {
        "good": "COMPLETED", "free": "COMPLETED", "stuck": "OUT_PENDING",
    }  # fmt: skip
