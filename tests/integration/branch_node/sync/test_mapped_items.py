"""An item of the group that the branch's log knows by two codes: one figure, and decisions on the sum."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from branch_node.database.stock import stock_figures
from branch_node.database.stock.explanations import explanation
from branch_node.model import Item
from branch_node.records import StockRecord
from shared.catalogue_messages import CatalogueAlias, CatalogueItem, CatalogueLevel
from shared.chain import understand
from shared.events import EventType
from shared.messages import Instruction, InstructionLine, InstructionStep
from tests.support.branch_rig import BranchRig, Define, Record

OWN = Item(item_id="apfel", name="Apfel", unit="l", defined_here=True)


@pytest.fixture(params=["sqlite", "postgresql"])
def rig(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[BranchRig]:
    url = None if request.param == "sqlite" else request.getfixturevalue("pg_database")
    made = BranchRig(tmp_path, url=url)
    made.office.publish(item=CatalogueItem(item_id="apple", name="Apple", unit="l"))
    made.office.publish(item=CatalogueItem(item_id="pear", name="Pear", unit="l"))
    made.ship()
    made.pull()
    for command in (Define(OWN), Record("apple", 2_000), Record("apfel", 2_000), Record("pear", 1_000)):
        made.writer.commit([command])
    yield made
    made.close()


def map_to(rig: BranchRig, item_id: str) -> None:
    rig.office.publish(alias=CatalogueAlias(location_id=rig.location_id, alias="apfel", item_id=item_id))
    rig.pull()


def stock(rig: BranchRig, limit: int = 100) -> list[tuple[str, str]]:
    found: list[StockRecord] = []
    after = None
    with rig.store.reading() as connection:
        while True:
            page = stock_figures.stock(connection, now=rig.clock.now(), after=after, limit=limit)
            found += page.items
            if page.next is None:
                return [(each.item_id, bytes(each.on_hand).decode()) for each in found]
            after = stock_figures.BY_ITEM.read(page.next)  # type: ignore[attr-defined]


def send(rig: BranchRig, item_id: str, quantity: int) -> EventType:
    made = Instruction(
        transfer_id=f"t-{quantity}-{item_id}",
        step=InstructionStep.OUT,
        token=1,
        location_id=rig.location_id,
        source=rig.location_id,
        destination="TRI-01",
        lines=(InstructionLine(1, item_id, quantity, "l"),),
    )
    rig.office.ask(made)
    rig.pull()
    rig.pull()
    return understand(rig.lines()[-1]).type


def test_one_figure_for_both_codes_on_every_page(rig: BranchRig) -> None:
    assert stock(rig) == [("apfel", "2"), ("apple", "2"), ("pear", "1")]
    map_to(rig, "apple")
    for limit in range(1, 4):
        assert stock(rig, limit) == [("apple", "4"), ("pear", "1")]
    with rig.store.reading() as connection:
        for code in ("apple", "apfel"):
            for as_of in (None, rig.clock.now()):
                one = stock_figures.stock_of(connection, code, now=rig.clock.now(), as_of=as_of)
                assert (one.item_id, one.name, bytes(one.on_hand)) == ("apple", "Apple", b"4")
        found = explanation(connection, rig.location_id, "apfel", now=rig.clock.now(), as_of=None)
        assert [(each.recorded_as, bytes(each.on_hand)) for each in found.steps] == [("apple", b"2"), ("apfel", b"4")]
    map_to(rig, "pear")
    assert stock(rig) == [("apple", "2"), ("pear", "3")]


def test_an_item_that_has_events_under_another_code_only(rig: BranchRig) -> None:
    rig.office.publish(item=CatalogueItem(item_id="banana", name="Banana", unit="l"))
    map_to(rig, "banana")
    for limit in range(1, 4):
        assert stock(rig, limit) == [("apple", "2"), ("banana", "2"), ("pear", "1")]


def test_low_is_said_of_the_sum(rig: BranchRig) -> None:
    for item_id, level in (("apple", 3_000), ("pear", 1_000)):
        rig.office.publish(
            reorder_level=CatalogueLevel(location_id=rig.location_id, item_id=item_id, level=level, target=9_000)
        )
    rig.pull()

    def low() -> list[str]:
        with rig.store.reading() as connection:
            page = stock_figures.low_stock(connection, now=rig.clock.now(), after=None, limit=1)
            rest = stock_figures.low_stock(connection, now=rig.clock.now(), after=page.items[-1].item_id, limit=1)
        return [each.item_id for each in page.items + rest.items]

    assert low() == ["apple", "pear"]
    map_to(rig, "apple")
    assert low() == ["pear"]


def test_a_transfer_is_decided_on_the_sum_of_the_codes(rig: BranchRig) -> None:
    map_to(rig, "apple")
    assert send(rig, "apple", 5_000) is EventType.TRANSFER_REFUSED
    assert send(rig, "apple", 3_000) is EventType.TRANSFER_OUT
    assert stock(rig) == [("apple", "1"), ("pear", "1")]
    rig.restart()
    rig.ship()
    assert send(rig, "apple", 2_000) is EventType.TRANSFER_REFUSED
    assert send(rig, "apple", 1_000) is EventType.TRANSFER_OUT


def test_a_code_that_stands_for_another_item_is_not_sent_as_its_own(rig: BranchRig) -> None:
    rig.office.publish(item=CatalogueItem(item_id="apfel", name="Apfel", unit="l"))
    map_to(rig, "apple")
    assert send(rig, "apfel", 1_000) is EventType.TRANSFER_REFUSED
