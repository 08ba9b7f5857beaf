"""An event says that its item became low exactly where the fold of the log says that available crossed the level."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from branch_node.api.level_routes import SetLevel
from branch_node.commands.correction_inputs import VoidInput, void_of
from branch_node.commands.corrections import VoidEvent
from branch_node.commands.order_inputs import OrderInput, order_of
from branch_node.commands.orders import RecordOrder
from branch_node.database.schema import LOG
from branch_node.database.store import Store
from branch_node.model import Command, Decision, View
from branch_node.subscriptions.published_messages import message_reader
from branch_node.sync.catalogue_update import ApplyCatalogue
from shared.catalogue_messages import CatalogueAlias, CatalogueEntry, level_change
from shared.events import MAX_QUANTITY, Event, LowStock
from shared.levels.reorder_levels import ReorderLevel
from shared.outbox.message_cursor import BEFORE_ALL
from shared.runtime.clock import format_rfc3339
from shared.runtime.problems import Problem
from shared.stock import fold, history, movement
from tests.support.branch import PLACE, Branch, Replay, TestClock, a_branch, read
from tests.support.events import MINUTE, NOON
from tests.support.histories import histories
from tests.support.log_check import verify_log


class Made(Command):
    """Records copies of these events as one command."""

    def __init__(self, events: list[Event]) -> None:
        self.events = events

    def decide(self, view: View) -> Decision:
        return Decision(events=[msgspec.structs.replace(each) for each in self.events])


class OwnLevel(SetLevel):
    """Sets an own level, and knows the head before it."""

    at = -1

    def decide(self, view: View) -> Decision:
        self.at = view.head.sequence
        return super().decide(view)


class FromHeadOffice(ApplyCatalogue):
    """Applies one change of the catalogue, and knows the head before it."""

    at = -1

    def decide(self, view: View) -> Decision:
        self.at = view.head.sequence
        return super().decide(view)


def from_head_office(**told: Any) -> FromHeadOffice:
    return FromHeadOffice([CatalogueEntry(version=1, hash="0" * 64, **told)], version=1, digest="0" * 64)


class Oracle:
    """Which levels act, by the words: head office's before an own one, an own one of a mapped code with its item."""

    def __init__(self) -> None:
        self.group: dict[str, ReorderLevel] = {}
        self.own: dict[str, ReorderLevel] = {}
        self.mapped: dict[str, str] = {}

    def change(self, command: OwnLevel | FromHeadOffice) -> None:
        if isinstance(command, OwnLevel):
            item_id = self.mapped.get(command.item_id, command.item_id)
            if item_id not in self.group:
                put(self.own, item_id, command.level)
            return
        (entry,) = command.entries
        if entry.reorder_level is not None:
            put(self.group, entry.reorder_level.item_id, entry.reorder_level.reorder_level())
        if entry.alias is not None:
            put(
                self.mapped,
                entry.alias.alias,
                None if entry.alias.item_id == entry.alias.alias else entry.alias.item_id,
            )
            if entry.alias.alias in self.mapped and entry.alias.alias in self.own:
                self.own.setdefault(entry.alias.item_id, self.own.pop(entry.alias.alias))
                self.own.pop(entry.alias.alias, None)

    def watched(self) -> list[tuple[ReorderLevel, set[str]]]:
        return [(level, self.codes(item_id)) for item_id, level in (self.own | self.group).items()]

    def codes(self, item_id: str) -> set[str]:
        further = {code for code, meant in self.mapped.items() if meant == item_id}
        return further if item_id in self.mapped else further | {item_id}

    def marks(self, log: list[Event], command: list[Event]) -> dict[int, LowStock]:
        """The marks that the events of one command must carry, by sequence."""
        found = {}
        for level, codes in self.watched():
            mine = [event.sequence for event in command if event.item_id in codes]
            before, after = (
                sum(available(log, code, through) for code in codes)
                for through in (command[0].sequence - 1, command[-1].sequence)
            )
            if mine and before > level.reorder_point >= after:
                size = level.order_quantity
                wanted = (level.order_up_to or 0) - after
                if size is not None:
                    wanted = next(n * size for n in range(1, 10_000) if after + n * size > level.reorder_point)
                pack = level.pack_size or 1
                packs = next(n for n in range(10**6) if n * pack >= wanted)
                found[mine[-1]] = LowStock(
                    available=after if len(codes) > 1 else None,
                    reorder_point=level.reorder_point,
                    reorder_quantity=packs * pack,
                )
        return found


def put(table: dict[str, Any], name: str, value: Any) -> None:
    if value is None:
        table.pop(name, None)
    else:
        table[name] = value


def available(log: list[Event], code: str, through: int) -> int:
    mine = [movement(event) for event in log if event.item_id == code]
    standing = history(mine, as_of=None, known_through=through).standing
    return fold(mine, known_through=through).on_hand - sum(each.reserved_change or 0 for each in standing)


def check(branch: Branch, changes: Sequence[OwnLevel | FromHeadOffice]) -> None:
    """Compare every event of the log with the oracle."""
    log = branch.events()
    oracle, waiting, place = Oracle(), list(changes), 0
    while place < len(log):
        command = log[place : place + log[place].lines]
        place += len(command)
        while waiting and waiting[0].at < command[0].sequence:
            oracle.change(waiting.pop(0))
        expected = oracle.marks(log, command)
        for event in command:
            assert event.low == expected.get(event.sequence), event
            assert (event.v == 3) == (event.low is not None)
    with branch.store.reading() as connection:
        assert verify_log(connection, LOG) == branch.writer.head


@st.composite
def some_level(draw: st.DrawFn) -> ReorderLevel:
    point = draw(st.integers(0, 10)) * 500
    way, size = draw(st.sampled_from(["order_up_to", "order_quantity"])), draw(st.integers(1, 8)) * 500
    return ReorderLevel(
        reorder_point=point,
        order_up_to=point + size if way == "order_up_to" else None,
        order_quantity=size if way == "order_quantity" else None,
        pack_size=draw(st.none() | st.integers(1, 4).map(lambda packs: packs * 400)),
    )


levels = st.none() | some_level()
LEVEL = ReorderLevel(reorder_point=2_000, order_up_to=10_000)


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
        branch = Branch(Store(f"sqlite:///{copy}/branch.db", Path(copy)), TestClock())
        branch.writer.open()
        try:
            yield branch
        finally:
            branch.writer.close()
            branch.store.close()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(histories(max_size=24), st.data())
def test_every_kind_of_event_in_commands_of_any_size(template: Path, events: list[Event], data: st.DataObject) -> None:
    with fresh(template) as branch:
        branch.run(Replay())
        left, changes = list(events), []
        while left:
            group: list[Command] = []
            for _ in range(data.draw(st.integers(1, 4))):
                if data.draw(st.integers(0, 3)) == 0:
                    changes.append(OwnLevel("milk", data.draw(levels)))
                    group.append(changes[-1])
                size = data.draw(st.integers(1, 3))
                group += [Made(left[:size])] if left else []
                left = left[size:]
            outcomes = branch.writer.commit(group)
            assert not [each for each in outcomes if isinstance(each, BaseException)]
        check(branch, changes)


items = st.sampled_from(["milk", "cup", "beans"])
quantities = st.integers(1, 8).map(lambda halves: halves / 2)
moments = st.none() | st.integers(-6, 0).map(lambda minutes: format_rfc3339(NOON + minutes * MINUTE))
kinds = st.sampled_from(["PURCHASE_RECEIVED", "PURCHASE_RECEIVED", "ORDER_DEDUCTION", "WASTE_RECORDED", "STOCKTAKE"])
lines = st.lists(st.tuples(items, quantities), min_size=1, max_size=4)
steps = st.one_of(
    st.tuples(st.just("event"), kinds, items, quantities, moments),
    st.tuples(st.just("event"), kinds, items, quantities, moments),
    st.tuples(
        st.just("order"),
        st.sampled_from("ab"),
        st.integers(1, 4),
        st.lists(st.tuples(items, quantities), min_size=1, max_size=4),
    ),
    st.tuples(st.just("void"), st.integers(0, 30)),
    st.tuples(st.just("again"), st.integers(0, 30)),
    st.tuples(st.just("own"), items, levels),
    st.tuples(st.just("group"), items, levels),
    st.tuples(st.just("map"), st.sampled_from(["milk", "beans", "cup"])),
    st.just(("restart",)),
)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.lists(steps, min_size=1, max_size=5), min_size=1, max_size=8))
def test_commands_levels_and_mappings_in_any_groups(template: Path, groups: list[list[Any]]) -> None:
    with fresh(template) as branch:
        changes: list[OwnLevel | FromHeadOffice] = []
        groups = [[("own", "milk", LEVEL), ("group", "beans", LEVEL), ("map", "milk")], *groups]
        answers: dict[str, tuple[Command, bytes]] = {}
        for group in groups:
            commands: list[Command] = []
            for step in group:
                if step[0] == "restart":
                    branch.writer.close()
                    branch.writer.open()
                    continue
                made = command(branch, answers, step)
                if isinstance(made, OwnLevel | FromHeadOffice):
                    changes.append(made)
                commands += [] if made is None else [made]
            for each, outcome in zip(commands, branch.writer.commit(commands), strict=True):
                assert not isinstance(outcome, BaseException) or isinstance(outcome, Problem), repr(outcome)
                if not isinstance(outcome, Problem) and each.key is not None:
                    told = msgspec.json.encode(outcome)
                    assert answers.setdefault(each.key, (each, told))[1] == told
        check(branch, changes)


def command(branch: Branch, answers: dict[str, tuple[Command, bytes]], step: Any) -> Command | None:
    match step:
        case "event", kind, item_id, quantity, moment:
            at = {} if moment is None else {"occurred_at": moment}
            return branch.event_command(kind, item_id, quantity, **at)
        case "order", order_id, revision, lines:
            given_lines = [{"item_id": item_id, "quantity": quantity} for item_id, quantity in lines]
            content = read(OrderInput, {"order_id": order_id, "revision": revision, "lines": given_lines})
            return RecordOrder(order_of(content), key=branch.key(), actor="till-1")
        case "void", number:
            log = branch.events()
            if log:
                content = void_of(log[number % len(log)].event_id, VoidInput(reason="mistake"))
                return VoidEvent(content, key=branch.key(), actor="manager-1")
        case "again", number if answers:
            return list(answers.values())[number % len(answers)][0]
        case "own", item_id, level:
            return OwnLevel(item_id, level)
        case "group", item_id, level:
            return from_head_office(reorder_level=level_change(PLACE, item_id, level))
        case "map", item_id:
            return from_head_office(alias=CatalogueAlias(location_id=PLACE, alias="cup", item_id=item_id))
    return None


def low_of(outcome: Any) -> dict[str, Any] | None:
    found: dict[str, Any] | None = msgspec.json.decode(msgspec.json.encode(outcome)).get("low")
    return found


def test_once_for_each_crossing_and_the_same_answer_again(any_branch: Branch) -> None:
    branch = any_branch
    branch.run(SetLevel("milk", LEVEL))
    assert low_of(branch.event("PURCHASE_RECEIVED", quantity=5)) is None
    first = branch.event("ORDER_DEDUCTION", quantity=3, key="sale")
    assert low_of(first) == {"reorder_point": 2, "reorder_quantity": 8}
    assert low_of(branch.event("ORDER_DEDUCTION", quantity=1)) is None, "it is low already"
    assert low_of(branch.event("PURCHASE_RECEIVED", quantity=1.001)) is None
    assert low_of(branch.event("STOCKTAKE", quantity=2)) == {"reorder_point": 2, "reorder_quantity": 8}
    branch.run(SetLevel("milk", None))
    branch.event("PURCHASE_RECEIVED", quantity=5)
    assert low_of(branch.event("ORDER_DEDUCTION", quantity=6)) is None
    again = branch.event("ORDER_DEDUCTION", quantity=3, key="sale")
    assert msgspec.json.encode(again) == msgspec.json.encode(first)
    assert branch.events()[1].v == 3
    assert branch.events()[0].v == 1


def test_what_is_available_is_the_sum_of_the_codes_as_they_are_mapped_now(any_branch: Branch) -> None:
    branch = any_branch
    branch.run(SetLevel("milk", LEVEL))
    branch.event("PURCHASE_RECEIVED", quantity=3)
    branch.event("PURCHASE_RECEIVED", "cup", quantity=3)

    def map_to(item_id: str) -> None:
        branch.run(from_head_office(alias=CatalogueAlias(location_id=PLACE, alias="cup", item_id=item_id)))

    map_to("milk")
    assert low_of(branch.event("ORDER_DEDUCTION", "milk", quantity=3)) is None
    low = low_of(branch.event("ORDER_DEDUCTION", "cup", quantity=1))
    assert low == {"available": 2, "reorder_point": 2, "reorder_quantity": 8}
    branch.event("PURCHASE_RECEIVED", "milk", quantity=3)
    map_to("cup")
    assert low_of(branch.event("ORDER_DEDUCTION", "cup", quantity=1)) is None
    assert low_of(branch.event("ORDER_DEDUCTION", "milk", quantity=1)) == {"reorder_point": 2, "reorder_quantity": 8}


def test_the_message_tells_the_figures_that_the_item_was_judged_by(any_branch: Branch) -> None:
    """The code that was recorded has more than the reorder point; the other one takes the item below it."""
    branch = any_branch
    branch.run(SetLevel("milk", LEVEL))
    branch.run(from_head_office(alias=CatalogueAlias(location_id=PLACE, alias="cup", item_id="milk")))
    branch.event("PURCHASE_RECEIVED", "milk", quantity=10)
    branch.event("ORDER_DEDUCTION", "cup", quantity=4)
    branch.event("ORDER_DEDUCTION", "milk", quantity=4)
    found = [
        json.loads(each.body)
        for each in message_reader(branch.store, PLACE).read(PLACE, BEFORE_ALL, None, 100).messages
    ]
    (told,) = [each for each in found if each["type"] == "larder.LowStockDetected"]
    (line,) = told["data"]["lines"]
    figures = {name: line[name] for name in ("item_id", "available", "reorder_point", "reorder_quantity")}
    assert figures == {"item_id": "milk", "available": 2, "reorder_point": 2, "reorder_quantity": 8}
    removed = next(each for each in found if each["cursor"][:26] == told["cursor"][:26] and each is not told)
    assert removed["data"]["lines"][0]["available"] == 6


def test_a_void_that_folds_the_item_anew(any_branch: Branch) -> None:
    branch = any_branch
    branch.run(SetLevel("milk", LEVEL))
    branch.event("PURCHASE_RECEIVED", quantity=1)
    counted = branch.event("STOCKTAKE", quantity=9)
    voided = branch.void(counted.event_id)
    assert branch.on_hand() == 1_000
    assert low_of(voided) == {"reorder_point": 2, "reorder_quantity": 9}


def test_what_to_order_of_an_item_far_below_zero_has_the_bound_of_a_quantity(any_branch: Branch) -> None:
    branch = any_branch
    branch.run(SetLevel("milk", ReorderLevel(reorder_point=0, order_up_to=MAX_QUANTITY)))
    branch.event("PURCHASE_RECEIVED", quantity=1)
    low = low_of(branch.event("ORDER_DEDUCTION", quantity=10**9))
    assert low is not None
    assert low["reorder_quantity"] == 10**9
    branch.writer.close()
    branch.writer.open()
    assert branch.events()[1].low == LowStock(reorder_point=0, reorder_quantity=MAX_QUANTITY)
