"""The entity tag of an item's stock: in memory as in the database, and another one for every change."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from branch_node.commands.adjustments.unchanged_stock import tag_now
from branch_node.database.stock.stock_figures import stock_of
from branch_node.database.stock.stock_tags import NO_EVENT, newest_event, stock_tag
from branch_node.model import Command, Decision, Item, View, unplaced
from branch_node.writer.writer import Writer
from shared.events import EventType, Reference
from shared.runtime.clock import IdFactory
from tests.support.branch import Branch, PutItems, Replay, a_branch

OIL = (Item(item_id="oil", name="Oil", unit="l"), Item(item_id="oel", name="Öl", unit="l", stands_for="oil"))
CODES = ("oil", "oel", "milk")
MEANT = {"oil": "oil", "oel": "oil", "milk": "milk"}


class Reserve(Command):
    """Reserves one of a code until some seconds from now."""

    def __init__(self, item_id: str, seconds: int) -> None:
        self.item_id, self.seconds = item_id, seconds

    def decide(self, view: View) -> Decision:
        event = unplaced(
            view, EventType.STOCK_RESERVED, actor="till", source="test", item_id=self.item_id, quantity=1_000, unit="l",
            reservation_id=(made := view.new_id()), expires_at=view.now + self.seconds * 1_000_000,
            reference=Reference(id=made, kind="order", revision=1),
        )  # fmt: skip
        return Decision(events=[event])


class Tags(Command):
    """Answers the tag of each item as the writer has it."""

    def decide(self, view: View) -> Decision:
        items = {code: view.item(code) for code in CODES}
        return Decision(answer={code: tag_now(view, item) for code, item in items.items() if item is not None})


def in_the_database(branch: Branch) -> dict[str, str]:
    """The tag of each item by the tables alone."""
    found = {}
    with branch.store.reading() as connection:
        for code in CODES:
            stock = stock_of(connection, code, now=branch.node_clock.now(), as_of=None)
            codes = {"oil": ["oil", "oel"], "milk": ["milk"]}[MEANT[code]]
            available = round(float(bytes(stock.available)) * 1_000)
            found[code] = stock_tag([newest_event(connection, each) for each in codes], available)
    return found


def figures(branch: Branch) -> dict[str, tuple[Any, ...]]:
    with branch.store.reading() as connection:
        stock = {code: stock_of(connection, code, now=branch.node_clock.now(), as_of=None) for code in CODES}
    return {code: (bytes(each.on_hand), bytes(each.reserved), bytes(each.available)) for code, each in stock.items()}


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["deliver", "sell", "count", "void", "reserve", "wait", "restart", "nothing"]),
        st.sampled_from(CODES),
        st.integers(1, 3),
    ),
    max_size=12,
)


@settings(max_examples=40, deadline=None)
@given(steps=STEPS)
def test_a_tag_stands_for_one_stock_for_ever(steps: list[tuple[str, str, int]]) -> None:
    with TemporaryDirectory() as folder, a_branch(Path(folder)) as branch:
        branch.run(PutItems(OIL))
        branch.run(Replay())  # what is reserved here need not be there
        seen: dict[str, dict[str, tuple[Any, ...]]] = {code: {} for code in CODES}
        events: list[str] = []
        for kind, code, number in [("nothing", "oil", 1), *steps]:
            before, tags_before = figures(branch), branch.run(Tags())
            named = step(branch, events, kind, code, number)
            tags = branch.run(Tags())
            assert tags == in_the_database(branch)
            assert tags["oil"] == tags["oel"]
            for each in CODES:
                now = figures(branch)[each]
                assert seen[each].setdefault(tags[each], now) == now, "one tag, two figures"
                if now != before[each] or (named is not None and MEANT[named] == MEANT[each]):
                    assert tags[each] != tags_before[each]
                else:
                    assert tags[each] == tags_before[each], "nothing touched it"


def step(branch: Branch, events: list[str], kind: str, code: str, number: int) -> str | None:
    """Do one step; the code that an event was recorded for."""
    if kind in {"deliver", "sell", "count"}:
        types = {"deliver": "PURCHASE_RECEIVED", "sell": "ORDER_DEDUCTION", "count": "STOCKTAKE"}
        recorded = branch.event(types[kind], code, number)
        events.append(recorded.event_id)
        return code
    if kind == "void" and events:
        voided = branch.void(events.pop())
        return str(voided.item_id)
    if kind == "reserve":
        branch.run(Reserve(code, number))
        return code
    if kind == "wait":
        branch.clock.advance(number * 1_000_000)
    if kind == "restart":
        branch.writer.close()
        branch.writer = Writer(branch.store, branch.node_clock, IdFactory())
        branch.writer.open()
    return None


def test_a_reservation_that_expires_changes_the_tag_before_and_with_its_event(any_branch: Branch) -> None:
    any_branch.run(PutItems(OIL))
    any_branch.event("PURCHASE_RECEIVED", "milk", 5)
    any_branch.run(Reserve("milk", 60))
    before = any_branch.run(Tags())["milk"]
    any_branch.clock.advance(61_000_000)
    unrecorded = in_the_database(any_branch)["milk"]
    after = any_branch.run(Tags())["milk"]  # the writer records the expiry before it decides anything
    assert any_branch.events()[-1].type == "RESERVATION_EXPIRED"
    assert before.split(".")[0] == unrecorded.split(".")[0] != after.split(".")[0]
    assert [each.split(".")[1] for each in (before, unrecorded, after)] == ["4000", "5000", "5000"]


def test_a_code_that_joins_an_item_changes_its_tag(any_branch: Branch) -> None:
    any_branch.run(PutItems((OIL[0], Item(item_id="oel", name="Öl", unit="l"))))
    any_branch.event("PURCHASE_RECEIVED", "oil", 2)
    any_branch.event("PURCHASE_RECEIVED", "oel", 0.5)
    before = any_branch.run(Tags())
    any_branch.run(PutItems(OIL))
    after = any_branch.run(Tags())
    assert before["oil"] != before["oel"]
    assert after["oil"] == after["oel"] != before["oil"]


def test_the_newest_event_up_to_a_sequence(any_branch: Branch) -> None:
    hashes = [bytes.fromhex(any_branch.event("PURCHASE_RECEIVED", item, 1).hash) for item in ("milk", "beans", "milk")]
    with any_branch.store.reading() as connection:
        found = [newest_event(connection, "milk", through) for through in (0, 1, 2, 3, None)]
        assert newest_event(connection, "gin") == NO_EVENT
    assert found == [NO_EVENT, hashes[0], hashes[0], hashes[2], hashes[2]]


def test_tags_of_several_codes_differ_and_their_order_does_not_count() -> None:
    """Databases differ in how they sort codes."""
    one, other = b"a" * 32, b"b" * 32
    assert len({stock_tag(hashes, 0) for hashes in ([one, other], [one], [other], [])}) == 4
    assert stock_tag([one, other], 0) == stock_tag([other, NO_EVENT, one], 0)
    assert stock_tag([one], 0) != stock_tag([one], 1)
