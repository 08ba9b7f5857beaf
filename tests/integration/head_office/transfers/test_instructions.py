"""Instructions: fencing, numbers, what is open; any interleaving of instructions and facts against a model."""

from __future__ import annotations

import random
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, func, select, text

from head_office.database.schema import metadata
from head_office.transfers import instructions
from head_office.transfers.transfer_facts import facts
from shared.messages import Instruction, InstructionLine, InstructionOutcome, InstructionStep
from tests.support.branch_log import BranchLog
from tests.support.waiting import wait_until

SOURCE, DESTINATION = "WH-1", "BEY-01"
ACCEPTED, FENCED = InstructionOutcome.ACCEPTED, InstructionOutcome.FENCED
# Said once more, so that the product's own table is held against something.
ANSWERED_BY = {
    "out": {"TRANSFER_OUT", "TRANSFER_REFUSED"},
    "refuse-out": {"TRANSFER_OUT", "TRANSFER_REFUSED"},
    "in": {"TRANSFER_IN", "TRANSFER_LOST", "TRANSFER_REFUSED"},
    "refuse-in": {"TRANSFER_IN", "TRANSFER_LOST", "TRANSFER_REFUSED"},
    "reverse": {"TRANSFER_REVERSED"},
}
AT_SOURCE = (InstructionStep.OUT, InstructionStep.REFUSE_OUT, InstructionStep.REVERSE)


def ask(transfer_id: str, step: str, token: int, *, quantity: int = 1_000, **fields: object) -> Instruction:
    site = SOURCE if step in AT_SOURCE else DESTINATION
    made: dict[str, object] = {
        "transfer_id": transfer_id,
        "step": InstructionStep(step),
        "token": token,
        "location_id": site,
        "source": SOURCE,
        "destination": DESTINATION,
        "lines": (InstructionLine(1, "milk", quantity, "l"),),
    }
    return Instruction(**{**made, **fields})  # type: ignore[arg-type]


def put(office: Engine, *asked: Instruction) -> list[tuple[InstructionOutcome, int]]:
    with office.begin() as connection:
        return [(each.outcome, each.highest_token) for each in instructions.put(connection, asked)]


def open_at(office: Engine, location_id: str, after: int = 0) -> tuple[list[tuple[str, str, int]], int]:
    with office.connect() as connection:
        page = instructions.page(connection, location_id, after)
    numbers = [each.number for each in page.instructions]
    assert numbers == sorted(set(numbers))
    assert all(after < number <= page.next for number in numbers)
    return [(each.transfer_id, each.step.value, each.token) for each in page.instructions], page.next


def test_an_older_token_is_passed_over_and_told_the_highest(office: Engine) -> None:
    assert put(office, ask("t", "out", 5)) == [(ACCEPTED, 5)]
    assert put(office, ask("t", "in", 4)) == [(FENCED, 5)]
    assert put(office, ask("t", "in", 7)) == [(ACCEPTED, 7)]
    assert put(office, ask("t", "out", 6), ask("other", "out", 1)) == [(FENCED, 7), (ACCEPTED, 1)]
    assert open_at(office, SOURCE)[0] == [("t", "out", 5), ("other", "out", 1)]
    assert open_at(office, DESTINATION)[0] == [("t", "in", 7)]


def test_a_batch_is_answered_one_by_one(office: Engine) -> None:
    nowhere = ask("t", "out", 9, location_id="NOWHERE", source="NOWHERE")
    assert put(office, nowhere, ask("t", "out", 2), ask("t", "out", 1)) == [
        (InstructionOutcome.UNKNOWN_LOCATION, 0),
        (ACCEPTED, 2),
        (FENCED, 2),
    ]
    assert put(office) == []


def test_the_same_step_again_takes_the_place_of_the_one_before(office: Engine) -> None:
    put(office, ask("t", "out", 1), ask("u", "out", 1))
    found, cursor = open_at(office, SOURCE)
    assert (found, cursor) == ([("t", "out", 1), ("u", "out", 1)], 2)
    put(office, ask("t", "out", 1, quantity=7_000))
    assert open_at(office, SOURCE, cursor) == ([("t", "out", 1)], 3)
    with office.connect() as connection:
        again = instructions.page(connection, SOURCE, 0).instructions
    assert [(each.transfer_id, each.lines[0].quantity) for each in again] == [("u", 1_000), ("t", 7_000)]


@pytest.mark.parametrize("step", list(InstructionStep))
@pytest.mark.parametrize(
    "kind", ["TRANSFER_OUT", "TRANSFER_IN", "TRANSFER_LOST", "TRANSFER_REFUSED", "TRANSFER_REVERSED"]
)
def test_an_instruction_is_open_until_a_fact_at_its_place_answers_it(
    office: Engine, step: InstructionStep, kind: str
) -> None:
    site = SOURCE if step in AT_SOURCE else DESTINATION
    put(office, ask("t", step, 1))
    elsewhere = BranchLog("BEY-02")
    record_fact(elsewhere, "t", kind)
    elsewhere.ship_now(office)
    assert len(open_at(office, site)[0]) == 1
    log = BranchLog(site)
    recorded = record_fact(log, "t", kind)
    log.ship_now(office)
    answered = bool(recorded & ANSWERED_BY[step])
    assert len(open_at(office, site)[0]) == (0 if answered else 1)
    if answered:
        assert open_at(office, site) == ([], 1)
        put(office, ask("t", step, 2))
        assert open_at(office, site) == ([], 2)


def record_fact(log: BranchLog, transfer_id: str, kind: str) -> set[str]:
    """Record one event of a transfer, and what must stand before it; the types recorded."""
    line = {"transfer_id": transfer_id, "transfer_line": 1}
    if kind == "TRANSFER_REFUSED":
        log.record(kind, transfer_id=transfer_id, reason="no-room")
        return {kind}
    if kind != "TRANSFER_REVERSED":
        log.record(kind, **line, **({"reason": "broken"} if kind == "TRANSFER_LOST" else {}))
        return {kind}
    sent = log.record("TRANSFER_OUT", **line)
    log.record(kind, **line, voided_event_id=sent.event_id, voided_sequence=sent.sequence)
    return {"TRANSFER_OUT", kind}


OPERATIONS = st.lists(
    st.one_of(
        st.tuples(
            st.just("ask"),
            st.lists(
                st.tuples(st.sampled_from("abc"), st.sampled_from(list(InstructionStep)), st.integers(1, 4)),
                min_size=1,
                max_size=4,
            ),
        ),
        st.tuples(
            st.just("fact"),
            st.tuples(
                st.sampled_from("abc"),
                st.sampled_from([SOURCE, DESTINATION]),
                st.sampled_from(["TRANSFER_OUT", "TRANSFER_IN", "TRANSFER_REFUSED", "TRANSFER_LOST"]),
            ),
        ),
        st.tuples(st.just("poll"), st.sampled_from([SOURCE, DESTINATION])),
    ),
    max_size=14,
)


class Model:
    """What head office should do, said simply."""

    def __init__(self) -> None:
        self.highest: dict[str, int] = {}
        self.asked: dict[tuple[str, str, InstructionStep], int] = {}
        self.facts: set[tuple[str, str, str]] = set()

    def ask(self, asked: list[Instruction]) -> list[tuple[InstructionOutcome, int]]:
        for each in asked:
            self.highest[each.transfer_id] = max(each.token, self.highest.get(each.transfer_id, 0))
        answers = []
        for each in asked:
            highest = self.highest[each.transfer_id]
            if each.token == highest:
                place = (each.location_id, each.transfer_id, each.step)
                self.asked.pop(place, None)
                self.asked[place] = each.token
            answers.append((ACCEPTED if each.token == highest else FENCED, highest))
        return answers

    def open_at(self, location_id: str) -> list[tuple[str, str, int]]:
        return [
            (transfer_id, step.value, token)
            for (place, transfer_id, step), token in self.asked.items()
            if place == location_id and not any((place, transfer_id, kind) in self.facts for kind in ANSWERED_BY[step])
        ]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(operations=OPERATIONS)
def test_any_interleaving_of_instructions_and_facts(office: Engine, operations: list[tuple[str, object]]) -> None:
    with office.begin() as connection:
        for table in ("event", "head", "voided", "log_segment", "ingest_batch", "item_unit", "stock", "transfer_line"):
            connection.exec_driver_sql(f"ALTER TABLE {table} DISABLE TRIGGER USER")
        connection.exec_driver_sql(
            "DELETE FROM event; DELETE FROM voided; DELETE FROM log_segment; DELETE FROM ingest_batch;"
            "DELETE FROM item_unit; DELETE FROM stock; DELETE FROM transfer_line; DELETE FROM instruction;"
            "DELETE FROM instruction_head; DELETE FROM transfer_token;"
            "UPDATE head SET sequence = 0, epoch = 1, hash = decode(repeat('00', 32), 'hex')"
        )
    model = Model()
    logs = {SOURCE: BranchLog(SOURCE), DESTINATION: BranchLog(DESTINATION)}
    cursors = {SOURCE: 0, DESTINATION: 0}
    seen: dict[str, set[tuple[str, str, int]]] = {SOURCE: set(), DESTINATION: set()}
    for kind, what in operations:
        if kind == "ask":
            asked = [ask(*each) for each in what]  # type: ignore[attr-defined]
            assert put(office, *asked) == model.ask(asked)
        elif kind == "fact":
            transfer_id, site, event = what  # type: ignore[misc]
            if event == "TRANSFER_OUT" and (site, transfer_id, event) in model.facts:  # type: ignore[has-type]
                continue  # a branch sends a transfer once
            record_fact(logs[site], transfer_id, event)  # type: ignore[has-type]
            logs[site].ship_now(office)  # type: ignore[has-type]
            model.facts.add((site, transfer_id, event))  # type: ignore[has-type]
        else:
            site = str(what)
            found, cursors[site] = open_at(office, site, cursors[site])
            seen[site] |= set(found)
            # Whoever follows the cursor has been shown everything that is open now.
            assert set(model.open_at(site)) <= seen[site]
        for site in (SOURCE, DESTINATION):
            assert open_at(office, site)[0] == model.open_at(site)


def test_answered_ones_are_swept_out_and_open_ones_stay(office: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(instructions, "SWEEP_EVERY", 5)
    log, other = BranchLog(SOURCE), BranchLog(DESTINATION)
    put(office, ask("open", "out", 1))
    for number in range(20):
        put(office, ask(f"t-{number}", "out", 1))
        record_fact(log, f"t-{number}", ("TRANSFER_OUT", "TRANSFER_REVERSED", "TRANSFER_REFUSED")[number % 3])
        log.ship_now(office)
        if number % 3 == 0:
            record_fact(other, f"t-{number}", "TRANSFER_IN" if number % 2 else "TRANSFER_LOST")
            other.ship_now(office)
    with office.connect() as connection:
        assert connection.execute(select(func.count()).select_from(metadata.tables["instruction"])).scalar_one() <= 6
    assert open_at(office, SOURCE)[0] == [("open", "out", 1)]


def test_answered_ones_are_kept_while_goods_are_on_their_way(office: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(instructions, "SWEEP_EVERY", 1)
    source, destination = BranchLog(SOURCE), BranchLog(DESTINATION)

    def kept() -> list[tuple[str, str]]:
        put(office, ask("another", "out", 1), ask("another", "in", 1))
        with office.connect() as connection:
            stored = metadata.tables["instruction"]
            rows = connection.execute(
                select(stored.c.transfer_id, stored.c.step).where(stored.c.transfer_id != "another")
            )
            return sorted((row.transfer_id, row.step) for row in rows)

    for name in ("received", "reversed"):
        put(office, ask(name, "out", 1), ask(name, "in", 1))
        sent = source.record("TRANSFER_OUT", transfer_id=name, transfer_line=1, quantity=1_000)
    source.ship_now(office)
    everything = [(name, step) for name in ("received", "reversed") for step in ("in", "out")]
    assert kept() == everything
    destination.record("TRANSFER_IN", transfer_id="received", transfer_line=1, quantity=400)
    destination.record("TRANSFER_REFUSED", transfer_id="reversed", reason="no-room")
    destination.ship_now(office)
    assert kept() == everything
    destination.record("TRANSFER_LOST", transfer_id="received", transfer_line=1, quantity=600, reason="broken")
    destination.ship_now(office)
    assert kept() == everything[2:]
    undo = {"voided_event_id": sent.event_id, "voided_sequence": sent.sequence}
    source.record("TRANSFER_REVERSED", transfer_id="reversed", transfer_line=1, quantity=1_000, **undo)
    source.ship_now(office)
    assert kept() == []


def test_those_of_a_transfer_that_is_received_before_its_sender_is_heard_are_kept(
    office: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(instructions, "SWEEP_EVERY", 1)
    destination = BranchLog(DESTINATION)
    put(office, ask("t", "in", 1))
    record_fact(destination, "t", "TRANSFER_IN")
    destination.ship_now(office)
    put(office, ask("another", "in", 1))
    with office.connect() as connection:
        assert facts(connection, ["t"])[0].destination == DESTINATION


def test_batches_that_overlap_in_any_order_do_not_lock_each_other_out(office: Engine) -> None:
    transfers = [f"t-{number}" for number in range(12)]
    start = threading.Barrier(4)

    def coordinator(seed: int) -> int:
        chance, refused = random.Random(seed), 0
        start.wait()
        for token in range(1, 16):
            steps = [ask(each, step, token) for each in transfers for step in ("out", "in")]
            chance.shuffle(steps)
            refused += sum(outcome is FENCED for outcome, _ in put(office, *steps))
        return refused

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(coordinator, range(4)))
    with office.connect() as connection:
        assert [each.highest_token for each in facts(connection, transfers)] == [15] * len(transfers)
    for site in (SOURCE, DESTINATION):
        found, _ = open_at(office, site)
        assert sorted(found) == sorted((each, "out" if site == SOURCE else "in", 15) for each in transfers)


@pytest.mark.parametrize("order", [("t-1", "t-2"), ("t-2", "t-1")])
def test_tokens_are_locked_in_one_order(office: Engine, order: tuple[str, str]) -> None:
    """A batch that must wait for the second transfer holds the first already, whatever its own order: no deadlock."""
    put(office, ask("t-1", "out", 1), ask("t-2", "out", 1))
    with office.connect() as first, first.begin(), ThreadPoolExecutor(1) as pool:
        instructions.put(first, [ask("t-2", "out", 2)])
        waiting = pool.submit(put, office, *(ask(each, "out", 2) for each in order))
        with office.connect() as third:
            free = text("SELECT token FROM transfer_token WHERE transfer_id = 't-1' FOR UPDATE SKIP LOCKED")

            def held() -> bool:
                with third.begin():
                    return third.execute(free).first() is None

            wait_until(held, what="the lock on t-1")
        assert not waiting.done()
        first.commit()
        assert waiting.result(10) == [(ACCEPTED, 2), (ACCEPTED, 2)]


def test_numbers_are_committed_in_their_order(office: Engine) -> None:
    """A reader never sees a number while a lower one of the same location may still appear."""
    first, second = office.connect(), office.connect()
    with first, second, first.begin():
        instructions.put(first, [ask("t", "out", 1)])
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(put, office, ask("u", "out", 1))
            assert open_at(office, SOURCE) == ([], 0)
            first.commit()
            waiting.result(10)
    assert open_at(office, SOURCE)[0] == [("t", "out", 1), ("u", "out", 1)]
