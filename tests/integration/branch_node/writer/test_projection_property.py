"""Whatever is recorded, in whatever groups: projection = fold(log), orders = what the log says of them, chain whole."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import create_engine, select, true

from branch_node.commands.correction_inputs import VoidInput, void_of
from branch_node.commands.corrections import VoidEvent
from branch_node.commands.count_inputs import CountInput, count_of
from branch_node.commands.counts import RecordCount
from branch_node.commands.order_inputs import CancelInput, OrderInput, cancel_of, order_of
from branch_node.commands.orders import CancelOrder, RecordOrder
from branch_node.database.lookups import orders_named
from branch_node.database.order_verification import verify_orders
from branch_node.database.reservation_rows import reservations_where
from branch_node.database.schema import LOG, STOCK
from branch_node.database.store import Store
from branch_node.model import Command, Decision, View
from shared.chain import understand
from shared.event_log import read_after
from shared.events import Event
from shared.projection import load_standings, movements_of
from shared.reservations import Reservation, reservation_of
from shared.runtime.clock import format_rfc3339
from shared.runtime.problems import Problem
from shared.stock import fold, history, movement, strict_breach
from tests.support.branch import PLACE, Branch, Replay, TestClock, a_branch, branch_store, read
from tests.support.events import MINUTE, NOON, an_event
from tests.support.histories import histories
from tests.support.log_check import verify_log
from tests.support.order_states import derive

ITEM_IDS = ("milk", "beans", "gin", "cup")
DECREASES = ("ORDER_DEDUCTION", "WASTE_RECORDED", "INTERNAL_USE", "PURCHASE_RETURNED")
INCREASES = ("PURCHASE_RECEIVED", "CUSTOMER_RETURN")

quantities = st.integers(1, 12).map(lambda halves: halves * 500)
moments = st.none() | st.integers(-6, 0).map(lambda minutes: format_rfc3339(NOON + minutes * MINUTE))
some_item = st.sampled_from(ITEM_IDS)
line = st.fixed_dictionaries({"item_id": some_item, "quantity": st.integers(1, 4)})


def _event(kind: str, item_id: str, quantity: int, at: str | None) -> dict[str, Any]:
    return {"kind": kind, "item_id": item_id, "quantity": str(quantity / 1000), "occurred_at": at}


by_hand = st.builds(_event, st.sampled_from([*DECREASES, *INCREASES, "STOCKTAKE"]), some_item, quantities, moments)
counted = st.fixed_dictionaries(
    {"item_id": some_item, "counted": st.integers(0, 9), "area": st.sampled_from(["bar", "cellar"])},
    optional={"occurred_at": moments.filter(bool)},
)
action = st.one_of(
    st.tuples(st.just("event"), by_hand),
    st.tuples(st.just("order"), st.sampled_from("ab"), st.integers(1, 4), st.lists(line, min_size=1, max_size=4)),
    st.tuples(st.just("cancel"), st.sampled_from("ab")),
    st.tuples(
        st.just("count"),
        st.lists(counted, min_size=1, max_size=3, unique_by=lambda each: (each["item_id"], each["area"])),
        st.booleans(),
    ),
    st.tuples(st.just("void"), st.integers(0, 30)),
    st.tuples(st.just("again"), st.integers(0, 30)),
)
groups = st.lists(st.lists(action, min_size=1, max_size=5), min_size=1, max_size=8)


class Made(Command):
    """Records events as they are."""

    def __init__(self, events: list[Event]) -> None:
        self.events = events

    def decide(self, view: View) -> Decision:
        return Decision(events=self.events)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("template")
    with a_branch(folder):
        pass
    return folder


@contextmanager
def fresh(template: Path) -> Iterator[Branch]:
    with tempfile.TemporaryDirectory() as copy:
        shutil.copytree(template, copy, dirs_exist_ok=True)
        store = Store(f"sqlite:///{copy}/branch.db", Path(copy))
        branch = Branch(store, TestClock())
        branch.writer.open()
        try:
            yield branch
        finally:
            branch.writer.close()
            store.close()


def command(branch: Branch, made: list[Command], recorded: list[str], what: tuple[Any, ...]) -> Command | None:
    if what[0] == "event":
        fields = {name: value for name, value in what[1].items() if value is not None}
        return branch.event_command(**fields)
    if what[0] == "order":
        content = order_of(read(OrderInput, {"order_id": what[1], "revision": what[2], "lines": what[3]}))
        return RecordOrder(content, key=None, actor="till-1")
    if what[0] == "cancel":
        return CancelOrder(cancel_of(what[1], CancelInput()), key=None, actor="till-1")
    if what[0] == "count":
        content = count_of(read(CountInput, {"count_id": "c", "lines": what[1], "open": what[2]}))  # type: ignore[assignment]
        return RecordCount(content, key=branch.key(), actor="staff-1")  # type: ignore[arg-type]
    if what[0] == "void" and recorded:
        content = void_of(recorded[what[1] % len(recorded)], VoidInput(reason="mistake"))  # type: ignore[assignment]
        return VoidEvent(content, key=branch.key(), actor="manager-1")  # type: ignore[arg-type]
    if what[0] == "again" and made:
        return made[what[1] % len(made)]
    return None


def check_everything(branch: Branch) -> None:
    with branch.store.reading() as connection:
        head = verify_log(connection, LOG)
        assert head == branch.writer.head
        stored = load_standings(connection, STOCK, PLACE)
        entries = read_after(connection, LOG, 0, 10_000)
        log = [understand(entry.line) for entry in entries]
        orders = {(each.order_id, each.source): each for each in orders_named(connection, ["a", "b"])}
        items = {event.item_id for event in log if event.item_id is not None}
        assert items == stored.keys()
        for item_id in items:
            mine = [movement(event) for event in log if event.item_id == item_id]
            balance = fold(mine)
            assert balance == fold(movements_of(connection, LOG, PLACE, item_id))
            # The projection keeps the plain sum of what is reserved; expiry is for whoever reads it.
            promised = sum(each.reserved_change or 0 for each in history(mine, as_of=None, known_through=None).standing)
            standing = stored[item_id]
            assert (standing.on_hand, standing.reserved, standing.last_count, standing.recount) == (
                balance.on_hand, promised, balance.last_count, balance.recount,
            )  # fmt: skip
        kept = {each.reservation_id: each for each in reservations_where(connection, true())}
        assert verify_orders(connection, lambda _: None) == []
    assert derive(log) == orders
    check_reservations(branch, log, kept)
    assert branch.writer._state().standings == stored
    for item_id in ("gin",):
        check_strict([event for event in log if event.item_id == item_id])


def check_reservations(branch: Branch, log: list[Event], kept: dict[str, Reservation]) -> None:
    """The tables and the writer's memory have of each reservation what its events make of it."""
    by_id: dict[str, list[Event]] = {}
    for event in log:
        if event.reservation_id is not None and event.type != "RESERVATION_REFUSED":
            by_id.setdefault(event.reservation_id, []).append(event)
    assert {each: reservation_of(events) for each, events in by_id.items()} == kept
    book = branch.writer._state().reservations
    assert {each.reservation_id for each in book.all()} == {each for each, made in kept.items() if made.active}
    assert all(kept[each.reservation_id] == each == book.of_order((each.order_id, each.source)) for each in book.all())


def check_expected(log: list[Event]) -> None:
    """What a count says was expected is the fold at its moment, of what was known when it was posted."""
    for event in log:
        if event.counted is not None:
            known = [movement(each) for each in log if each.item_id == event.item_id]
            before = fold(known, as_of=event.occurred_at, known_through=event.sequence - 1)
            assert event.expected == before.on_hand


def check_strict(log: list[Event]) -> None:
    known = []  # type: ignore[var-annotated]
    for event in log:
        new = movement(event)
        if new.on_hand_change is not None and new.on_hand_change < 0:
            assert strict_breach(known, new) is None
        known.append(new)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(groups)
def test_projection_is_the_fold_of_the_log(template: Path, groups: list[list[Any]]) -> None:
    with fresh(template) as branch:
        made: list[Command] = []
        answers: dict[str, bytes] = {}
        recorded: list[str] = []
        for group in groups:
            branch.clock.advance(MINUTE // 4)
            commands = [each for what in group if (each := command(branch, made, recorded, what)) is not None]
            before = branch.writer.head.sequence
            for each, outcome in zip(commands, branch.writer.commit(commands), strict=True):
                assert not isinstance(outcome, BaseException) or isinstance(outcome, Problem), repr(outcome)
                # The trigger behind the writer's own judgement may never judge otherwise.
                assert not isinstance(outcome, Problem) or outcome.detail != "the database refused it"
                if isinstance(outcome, Problem) or each.key is None:
                    continue
                told = msgspec.json.encode(outcome)
                if each.key in answers and not _waits(outcome):
                    assert told == answers[each.key]
                answers[each.key] = told
                made.append(each)
            log = branch.events()
            assert len({event.command_key for event in log if event.line == 1}) == sum(event.line == 1 for event in log)
            recorded += [event.event_id for event in log[before:]]
            check_everything(branch)
            check_expected(log)


def _waits(outcome: object) -> bool:
    # A count that is still open recorded nothing, so it is decided anew.
    return bool(getattr(outcome, "waiting", None))


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(histories(max_size=20), st.data())
def test_every_kind_of_event_folds_through_the_writer(template: Path, events: list[Event], data: st.DataObject) -> None:
    with fresh(template) as branch:
        branch.run(Replay())
        left = list(events)
        while left:
            size = data.draw(st.integers(1, len(left)))
            commands = [Made([event]) for event in left[:size]]
            left = left[size:]
            outcomes = branch.writer.commit(commands)
            assert not [each for each in outcomes if isinstance(each, BaseException)]
        check_everything(branch)


strict_steps = st.lists(
    st.tuples(
        st.sampled_from([*DECREASES, "ADJUSTMENT", *INCREASES, "PURCHASE_RECEIVED", "STOCKTAKE", "void"]),
        st.integers(0, 8),
        st.integers(1, 6).map(lambda halves: halves * 500),
        st.booleans(),
    ),
    min_size=1,
    max_size=12,
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(strict_steps)
def test_a_strict_item_is_refused_where_the_fold_says(template: Path, steps: list[tuple[str, int, int, bool]]) -> None:
    """Through the command, which looks for itself, and past it, where only the database's trigger does."""
    with fresh(template) as branch:
        for seed, (kind, minute, quantity, past_the_command) in enumerate(steps, start=1):
            at = NOON + (minute - 8) * MINUTE
            log = branch.events()
            if kind == "void":
                voided = {event.voided_sequence for event in log}
                left = [event for event in log if event.type != "EVENT_VOIDED" and event.sequence not in voided]
                if left:
                    branch.void(left[minute % len(left)].event_id)
                continue
            named = {"item_id": "gin", "seed": seed, "occurred_at": at}
            if kind == "STOCKTAKE":
                branch.run(Made([an_event(kind, counted=quantity, expected=0, **named)]))
                continue
            signed = -quantity if kind == "ADJUSTMENT" else quantity
            reason = {"reason": "spoiled"} if kind in {"WASTE_RECORDED", "ADJUSTMENT"} else {}
            made = an_event(kind, quantity=signed, **named, **reason)
            made.sequence = len(log) + 1
            new = movement(made)
            made.sequence = 0
            decrease = new.on_hand_change is not None and new.on_hand_change < 0
            breach = strict_breach([movement(event) for event in log], new) if decrease else None
            fields = _event(kind, "gin", signed, format_rfc3339(at))
            (outcome,) = branch.writer.commit([Made([made]) if past_the_command else branch.event_command(**fields)])
            assert isinstance(outcome, Problem) == (breach is not None), repr(outcome)
            if isinstance(outcome, Problem):
                assert outcome.code == "strict-item-below-zero"
                assert (outcome.detail == "the database refused it") == past_the_command


@settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))
@given(histories(max_size=15))
def test_the_same_on_postgresql(postgres_url_factory: Callable[..., str], events: list[Event]) -> None:
    with tempfile.TemporaryDirectory() as folder, a_branch(Path(folder), postgres_url_factory(_prepare)) as branch:
        branch.run(Replay())
        outcomes = branch.writer.commit([Made([event]) for event in events])
        assert not [each for each in outcomes if isinstance(each, BaseException)]
        check_everything(branch)


def _prepare(url: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        branch_store(Path(folder), url).close()
    engine = create_engine(url)
    with engine.connect() as connection:
        assert connection.execute(select(LOG.head.c.sequence)).scalar_one() == 0
    engine.dispose()
