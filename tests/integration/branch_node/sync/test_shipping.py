"""The shipper, on a real log and writer, against a head office that keeps the real rules of sync in memory."""

from __future__ import annotations

import shutil
import sqlite3
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from branch_node.commands.count_inputs import CountInput, count_of
from branch_node.commands.counts import RecordCount
from branch_node.sync.log_reader import BATCH_EVENTS, PackedBatch
from branch_node.sync.shipping_status import ShippingState
from shared.chain import Head
from shared.messages import EventsAnswer, HeadMessage, Hello, HelloAnswer, Verdict
from tests.support.branch import read
from tests.support.branch_rig import BranchRig
from tests.support.fake_head_office import FakeHeadOffice, json_answer, problem


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[BranchRig]:
    made = BranchRig(tmp_path)
    made.define("milk")
    yield made
    made.close()


def acknowledged(rig: BranchRig) -> int:
    head = rig.board.read().acknowledged
    return -1 if head is None else head.sequence


def test_the_log_arrives_byte_for_byte(rig: BranchRig) -> None:
    rig.record(*range(1, 8))
    results = rig.ship()
    assert [result.outcome for result in results] == ["GREETED", "SHIPPED", "IDLE"]
    assert rig.office.lines == rig.lines()
    assert rig.state is ShippingState.OK
    assert acknowledged(rig) == 7
    assert results[-1].wakes, "a commit is reason to step sooner"


def test_nothing_new_is_not_sent_and_a_commit_is_sent_alone(rig: BranchRig) -> None:
    rig.record(1, 2)
    rig.ship()
    assert rig.shipper.step().outcome == "IDLE"
    rig.record(3)
    assert rig.shipper.step().count == 1
    assert rig.office.batches == [(1, 2), (3, 3)]


def test_a_backlog_goes_in_bounded_batches_of_frames(rig: BranchRig) -> None:
    backlog = 2 * BATCH_EVENTS + 1
    for start in range(0, backlog, 1_000):
        rig.record(*[1] * min(1_000, backlog - start))
    rig.ship()
    assert [last - first + 1 for first, last in rig.office.batches] == [BATCH_EVENTS, BATCH_EVENTS, 1]
    assert rig.office.lines == rig.lines()


@pytest.mark.parametrize("fault", ["unreachable", "lost-answer", "portal"])
@pytest.mark.parametrize("at", [0, 1])
def test_a_bad_line_is_tried_again_with_hello_first(rig: BranchRig, fault: str, at: int) -> None:
    rig.record(1, 2, 3)
    rig.office.faults.extend([*[None] * at, fault])
    results = rig.ship()
    failed = results[at]
    assert failed.outcome == "FAILED"
    assert not failed.wakes, "a commit does not wake it while the line is down"
    assert failed.wait > 0
    assert results[at + 1].outcome == "GREETED"
    assert rig.office.lines == rig.lines()
    assert rig.state is ShippingState.OK


def test_waits_grow_to_a_bound_and_begin_again_after_success(rig: BranchRig) -> None:
    rig.record(1)
    rig.office.faults.extend(["unreachable"] * 12)
    waits = []
    for _ in range(12):
        waits.append(rig.shipper.step().wait)
        assert rig.state is ShippingState.UNREACHABLE
        next_try_at = rig.board.read().next_try_at
        assert next_try_at is not None
        assert next_try_at > rig.clock.now()
        assert rig.shipper.step().outcome == "WAITING", "no request before the wait is over"
        rig.base.pass_time(waits[-1])
    assert len(rig.office.seen) == 12
    assert waits[0] <= 0.25
    assert max(waits) <= 30
    assert waits[-1] >= 15
    rig.ship()
    rig.office.faults.append("unreachable")
    rig.record(2)
    assert rig.shipper.step().wait <= 0.25


def test_an_answer_that_was_lost_is_no_reason_to_send_again(rig: BranchRig) -> None:
    rig.record(1, 2)
    rig.office.faults.extend([None, "lost-answer"])
    rig.ship()
    assert rig.office.batches == [(1, 2)]
    assert acknowledged(rig) == 2


def test_a_gap_is_filled_from_the_expected_event(rig: BranchRig) -> None:
    rig.record(1, 2, 3)
    rig.ship()
    rig.record(4, 5)
    rig.office.faults.append(lambda _: problem(409, "gap", expected_sequence=4))
    # Only an expected event that is not behind what was acknowledged is believed without a hello.
    results = rig.ship()
    assert rig.office.lines == rig.lines()
    assert results[0].outcome == "FAILED"


def test_head_office_restored_while_connected_rewinds(rig: BranchRig) -> None:
    rig.record(1, 2, 3)
    rig.ship()
    rig.office.restore(1)
    rig.record(4)
    rig.ship()
    assert rig.greetings == [Verdict.OK, Verdict.REWIND]
    assert rig.office.lines == rig.lines()
    assert rig.state is ShippingState.OK


def test_head_office_restored_while_away_rewinds_after_a_restart(rig: BranchRig) -> None:
    rig.record(1, 2, 3)
    rig.ship()
    rig.base.pass_time(2)
    rig.shipper.step()  # idle: keeps the acknowledged head
    rig.office.restore(0)
    rig.restart()
    assert acknowledged(rig) == 3
    rig.shipper.step()
    assert rig.greetings[-1] is Verdict.REWIND
    assert acknowledged(rig) == 0
    rig.ship()
    assert rig.office.lines == rig.lines()


def test_the_acknowledged_head_is_kept_but_not_with_every_event(rig: BranchRig) -> None:
    rig.ship()
    writes = rig.writer.groups
    for number in range(1, 21):
        rig.record(number)
        rig.shipper.step()
    assert rig.writer.groups - writes == 20, "no further commits while it goes fast"
    kept = rig.reader.sync_state().acknowledged
    assert kept is not None
    assert kept.sequence == 0
    idle = rig.shipper.step()
    assert idle.wait <= 1
    rig.base.pass_time(idle.wait)
    rig.shipper.step()
    kept = rig.reader.sync_state().acknowledged
    assert kept is not None
    assert kept.sequence == 20
    assert kept.hash == rig.writer.head.hash


def test_a_restored_branch_stops_before_it_ships(tmp_path: Path, rig: BranchRig) -> None:
    rig.record(1, 2)
    rig.ship()
    rig.close()
    backup = tmp_path / "backup.db"
    shutil.copy(tmp_path / "branch.db", backup)
    rig.restart()
    rig.record(3)
    rig.ship()
    rig.close()
    assert not list(tmp_path.glob("branch.db-*"))
    shutil.copy(backup, tmp_path / "branch.db")
    rig._open()
    assert rig.ship()[-1].outcome == "STOPPED"
    assert rig.state is ShippingState.ROLLED_BACK
    assert rig.board.read().hint
    # Facts go on being recorded; with one more of them the two logs differ.
    rig.record(9)
    rig.base.pass_time(30)
    rig.ship()
    assert rig.state is ShippingState.FORKED
    rig.record(10)
    rig.base.pass_time(30)
    rig.ship()
    assert rig.state is ShippingState.FORKED
    assert len(rig.lines()) == 4
    assert len(rig.office.lines) == 3
    assert rig.office.batches == [(1, 2), (3, 3)], "nothing was sent of the diverged log"


@pytest.mark.parametrize(
    ("verdict", "state"),
    [
        (Verdict.SUPERSEDED, ShippingState.SUPERSEDED),
        (Verdict.ROLLED_BACK, ShippingState.ROLLED_BACK),
        (Verdict.FORKED, ShippingState.FORKED),
        (Verdict.UPGRADE_REQUIRED, ShippingState.UPGRADE_REQUIRED),
    ],
)
def test_a_verdict_stops_shipping_until_hello_says_otherwise(
    rig: BranchRig, verdict: Verdict, state: ShippingState
) -> None:
    rig.record(1)
    rig.office.verdict = verdict
    stopped = rig.ship()[-1]
    assert rig.state is state
    assert not stopped.wakes
    assert stopped.wait == rig.office.hello_every
    rig.record(2)
    assert rig.office.lines == []
    assert rig.shipper.step().outcome == "WAITING"
    assert rig.puller.step().outcome == "WAITING"
    assert rig.office.seen == ["/v1/sync/hello"], "instructions and receipts wait too"
    kept = rig.reader.sync_state()
    assert kept.verdict == state.value
    rig.office.verdict = Verdict.OK
    rig.base.pass_time(stopped.wait)
    rig.ship()
    assert rig.state is ShippingState.OK
    assert rig.office.lines == rig.lines()


def test_upgrade_required_names_the_side(rig: BranchRig) -> None:
    rig.office.verdict = Verdict.UPGRADE_REQUIRED
    rig.ship()
    assert "branch" in (rig.board.read().detail or "")


@pytest.mark.parametrize("code", ["forked", "superseded", "upgrade-required"])
def test_a_batch_refused_for_good_stops_it_too(rig: BranchRig, code: str) -> None:
    rig.record(1)
    rig.office.faults.extend([None, lambda _: problem(409, code, detail="so it is")])
    assert rig.ship()[-1].outcome == "STOPPED"
    assert rig.state.value == code.upper().replace("-", "_")
    assert rig.board.read().detail == "so it is"


def test_a_fork_that_head_office_finds_in_the_batch(rig: BranchRig, tmp_path: Path) -> None:
    rig.record(1, 2)
    rig.ship()
    other = BranchRig(tmp_path / "other", rig.office)
    other.define("milk")
    other.record(1)
    other.ship()
    assert other.state is ShippingState.FORKED
    other.close()


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_key_is_told_loudly_and_tried_again_slowly(rig: BranchRig, status: int) -> None:
    rig.record(1)
    rig.office.faults.append(lambda _: problem(status, "unauthenticated", detail="no such key"))
    assert rig.shipper.step().outcome == "FAILED"
    assert rig.state is ShippingState.UNAUTHORIZED
    assert "no such key" in (rig.board.read().detail or "")
    assert "--key" in (rig.board.read().hint or "")
    rig.ship()
    assert rig.state is ShippingState.OK


def test_too_large_a_batch_is_halved(rig: BranchRig) -> None:
    for number in range(64):
        rig.record(number + 1)
    rig.office.largest_batch = 900
    rig.ship()
    assert rig.office.lines == rig.lines()
    assert len(rig.office.batches) > 1


def test_busy_head_office_is_asked_again_when_it_says(rig: BranchRig) -> None:
    def busy(_: object) -> object:
        answer = problem(503, "database-busy")
        answer.headers["Retry-After"] = "7"
        return answer

    rig.record(1)
    rig.office.faults.extend([None, busy])  # type: ignore[list-item]
    rig.shipper.step()
    assert rig.shipper.step().wait == 7
    assert rig.state is ShippingState.UNREACHABLE
    rig.ship()
    assert rig.state is ShippingState.OK


def test_a_success_that_moves_nothing_is_no_success(rig: BranchRig) -> None:
    rig.record(1)
    rig.shipper.step()
    stuck = FakeHeadOffice()

    def nothing(request: object) -> object:
        head = HeadMessage(1, 0, stuck.head.hash.hex())
        return json_answer(EventsAnswer(head=head, received_at=0, appended=0, passed_over=1))

    rig.office.faults.append(nothing)  # type: ignore[arg-type]
    assert rig.shipper.step().outcome == "FAILED"


def test_head_offices_time_sets_a_wrong_clock_right(rig: BranchRig) -> None:
    rig.base.pass_time(1)
    rig.base._now += 3_600_000_000  # the wall clock jumps an hour
    assert not rig.clock.confirmed
    rig.office.time = rig.base.now()
    rig.shipper.step()
    assert rig.clock.confirmed


def test_hello_is_said_as_often_as_head_office_wants(rig: BranchRig) -> None:
    rig.office.hello_every = 5
    rig.ship()
    assert rig.shipper.step().wait == pytest.approx(5)
    rig.base.pass_time(4.9)
    assert rig.shipper.step().outcome == "IDLE"
    rig.base.pass_time(0.2)
    assert rig.shipper.step().outcome == "GREETED"


def test_the_next_batch_is_packed_while_the_last_is_in_flight(rig: BranchRig) -> None:
    for _ in range(11):
        rig.record(*[1] * 1_000)
    packing: list[tuple[int, str]] = []
    real = rig.reader.pack

    def watched(after: Head, limit: int) -> PackedBatch | None:
        packing.append((after.sequence, threading.current_thread().name))
        return real(after, limit)

    rig.reader.pack = watched  # type: ignore[method-assign]
    with ThreadPoolExecutor(1, thread_name_prefix="ahead") as executor:
        rig.shipper._executor = executor
        # The answer to the second batch is lost: what was packed ahead of it must not be sent in its place.
        rig.office.faults.extend([None, None, "lost-answer"])
        rig.ship()
    assert rig.office.lines == rig.lines()
    assert [batch[0] for batch in rig.office.batches] == [1, BATCH_EVENTS + 1, 2 * BATCH_EVENTS + 1]
    assert (BATCH_EVENTS, "ahead_0") in packing


def test_a_hole_in_the_log_stops_shipping_there_and_recording_goes_on(rig: BranchRig) -> None:
    rig.record(1, 2, 3, 4, 5)
    with sqlite3.connect(rig.folder / "branch.db") as damage:
        damage.execute("DROP TRIGGER event_no_delete")
        damage.execute("DELETE FROM event WHERE sequence = 4")
    damage.close()
    assert rig.ship()[-1].outcome == "STOPPED"
    assert rig.state is ShippingState.DAMAGED
    assert "event 4 is missing" in (rig.board.read().detail or "")
    assert len(rig.office.lines) == 3
    rig.record(6)
    rig.base.pass_time(60)
    rig.ship()
    assert rig.state is ShippingState.DAMAGED
    assert len(rig.lines()) == 5


def test_hello_tells_of_counts_that_nobody_closes(rig: BranchRig) -> None:
    rig.define("milk")
    said: list[Hello] = []
    real = rig.office._hello

    def hello(message: Hello) -> HelloAnswer:
        said.append(message)
        return real(message)

    rig.office._hello = hello  # type: ignore[assignment, method-assign]
    given = {"count_id": "c1", "lines": [{"item_id": "milk", "area": "bar", "counted": 2}], "open": True}
    rig.writer.commit([RecordCount(count_of(read(CountInput, given)), key=None, actor="k1/ann")])
    rig.ship()
    assert [each.count_id for each in said[-1].open_counts] == ["c1"]
    assert said[-1].open_counts[0].areas[0].actor == "k1/ann"
    assert said[-1].now is not None
