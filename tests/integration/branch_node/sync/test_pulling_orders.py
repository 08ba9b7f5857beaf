"""The puller takes the orders that head office asks for: pages, cursors, faults, items that come late."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from structlog.testing import capture_logs

from shared.catalogue_messages import CatalogueItem
from shared.chain import understand
from shared.messages import Instruction, InstructionLine, InstructionStep, Verdict
from tests.support.branch_rig import BranchRig, Record
from tests.support.fake_head_office import problem
from tests.support.order_events import answers_in, order_instruction


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[BranchRig]:
    made = BranchRig(tmp_path)
    made.office.publish(item=CatalogueItem(item_id="milk", name="Milk", unit="l"))
    made.ship()
    made.pull()
    made.record(10_000)
    yield made
    made.close()


def settle(rig: BranchRig) -> None:
    """Until head office has what was recorded, and nothing more is to be pulled."""
    for _ in range(2):
        rig.ship()
        rig.pull()
    rig.ship()


def outcomes(rig: BranchRig) -> list[str]:
    return [each.reason or each.outcome.value for each in answers_in(map(understand, rig.lines())).values()]


def receipt(transfer_id: str) -> Instruction:
    """An instruction of a transfer: a litre of milk is to be received."""
    return Instruction(
        transfer_id=transfer_id,
        step=InstructionStep.IN,
        token=1,
        location_id="BEY-01",
        source="TRI-01",
        destination="BEY-01",
        lines=(InstructionLine(1, "milk", 1_000, "l"),),
    )


def polled(rig: BranchRig) -> list[httpx.QueryParams]:
    """From here on the polls for instructions, as head office is sent them; filled as they come."""
    found: list[httpx.QueryParams] = []
    handle = rig.office.handle_request

    def record(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/v1/sync/instructions":
            found.append(request.url.params)
        return handle(request)

    rig.office.handle_request = record  # type: ignore[method-assign]
    return found


def test_each_is_taken_once_and_its_answer_is_shipped(rig: BranchRig) -> None:
    rig.office.ask_orders(
        order_instruction("placed", "1", "a", {"milk": 4_000}),
        order_instruction("placed", "2", "b", {"milk": 7_000}),
        order_instruction("cancelled", "1", "c", None),
        order_instruction("placed", "3", "d", {"milk": 7_000}),
    )
    groups = rig.writer.groups
    rig.pull()
    assert rig.writer.groups == groups + 1, "all of a page in one commit"
    assert outcomes(rig) == ["reserved", "unavailable", "released", "reserved"]
    lines = rig.lines()
    rig.restart()
    settle(rig)  # it asks from 0 again
    settle(rig)
    assert rig.lines() == lines == rig.office.lines
    assert answers_in(map(understand, rig.office.lines)).keys() == {each.key for each in rig.office.orders}


def test_many_pages_of_both_kinds(rig: BranchRig) -> None:
    rig.office.largest_page = 3
    rig.office.ask(*(receipt(f"t{number}") for number in range(5)))
    rig.office.ask_orders(*(order_instruction("placed", str(n), f"e{n}", {"milk": 1_000}) for n in range(8)))
    asked = polled(rig)
    rig.pull()
    assert outcomes(rig) == ["reserved"] * 8
    assert rig.on_hand("milk") == 15_000
    assert [(int(each["after"]), int(each["orders_after"])) for each in asked] == [(0, 0), (3, 3), (5, 6), (5, 8)]


def test_an_item_made_a_moment_ago_is_waited_for(rig: BranchRig) -> None:
    rig.office.publish(item=CatalogueItem(item_id="tea", name="Tea", unit="kg"))
    rig.office.ask_orders(order_instruction("returned", "1", "a", {"tea": 1_000}, "kg"))
    rig.pull()
    assert outcomes(rig) == ["returned"]
    assert rig.on_hand("tea") == 1_000


def test_an_item_that_the_catalogue_does_not_bring_leaves_its_order_open(rig: BranchRig) -> None:
    rig.office.ask_orders(
        order_instruction("returned", "1", "a", {"tea": 1_000}, "kg"),
        order_instruction("placed", "2", "b", {"milk": 1_000}),
    )
    with capture_logs() as logged:
        rig.pull()
    assert outcomes(rig) == ["reserved"]  # nobody is held up
    assert ["unknown-item" in each["why"] for each in logged if each["log_level"] == "error"] == [True]
    rig.office.publish(item=CatalogueItem(item_id="tea", name="Tea", unit="kg"))
    rig.base.pass_time(30)
    settle(rig)  # after the next hello it is asked again
    assert outcomes(rig) == ["reserved", "returned"]


def test_an_item_that_is_kept_in_another_unit_here_is_refused(rig: BranchRig) -> None:
    rig.office.ask_orders(order_instruction("placed", "1", "a", {"milk": 1_000}, "pint"))
    rig.pull()
    assert outcomes(rig) == ["unit-differs"]


def test_head_office_was_restored_and_asks_again_under_other_numbers(rig: BranchRig) -> None:
    first, second = (order_instruction("placed", each, each, {"milk": 1_000}) for each in "ab")
    rig.office.ask_orders(first, second)
    settle(rig)
    lines = rig.lines()
    rig.office.restore(1)
    rig.office.forget_orders(0)
    rig.office.ask_orders(second, order_instruction("placed", "c", "c", {"milk": 1_000}), first)
    rig.base.pass_time(30)
    settle(rig)
    assert Verdict.REWIND in rig.greetings
    assert outcomes(rig) == ["reserved"] * 3
    assert rig.lines()[: len(lines)] == lines
    assert rig.office.lines == rig.lines()


def test_numbers_that_went_back_are_followed_before_the_next_hello(rig: BranchRig) -> None:
    rig.office.ask_orders(*(order_instruction("placed", each, each, {"milk": 1_000}) for each in "abc"))
    rig.pull()
    rig.office.forget_orders(0)
    rig.office.ask_orders(order_instruction("placed", "d", "d", {"milk": 1_000}))
    asked = polled(rig)
    rig.pull()
    assert outcomes(rig) == ["reserved"] * 3
    rig.pull()
    assert outcomes(rig) == ["reserved"] * 4
    assert [int(each["orders_after"]) for each in asked][:2] == [3, 0]


def test_a_head_office_that_knows_no_orders(rig: BranchRig) -> None:
    rig.office.knows_orders = False
    rig.office.ask_orders(order_instruction("placed", "1", "a", {"milk": 1_000}))
    rig.pull()
    assert outcomes(rig) == []
    rig.office.knows_orders = True
    rig.pull()
    assert outcomes(rig) == ["reserved"]


def test_a_head_office_that_refuses_to_be_asked_for_orders(rig: BranchRig) -> None:
    rig.office.refuses_orders = True
    rig.office.ask(receipt("t"))
    rig.office.ask_orders(order_instruction("placed", "1", "a", {"milk": 1_000}))
    assert "FAILED" not in [each.outcome for each in rig.pull()]
    assert rig.on_hand("milk") == 11_000
    assert outcomes(rig) == []
    rig.office.refuses_orders = False  # it was upgraded
    rig.base.pass_time(30)
    settle(rig)
    assert outcomes(rig) == ["reserved"]


@pytest.mark.parametrize("fault", ["unreachable", "lost-answer", "portal", "refused"])
def test_trouble_on_the_way_changes_nothing(rig: BranchRig, fault: str) -> None:
    rig.office.ask_orders(order_instruction("placed", "1", "a", {"milk": 1_000}))
    rig.office.faults.append((lambda _: problem(500, "internal-error")) if fault == "refused" else fault)
    assert rig.puller.step().outcome == "FAILED"
    settle(rig)
    assert outcomes(rig) == ["reserved"]


def test_a_diverged_branch_takes_no_order(rig: BranchRig) -> None:
    rig.ship()
    rig.office.verdict = Verdict.FORKED
    rig.office.ask_orders(order_instruction("placed", "1", "a", {"milk": 1_000}))
    rig.base.pass_time(30)
    rig.ship()
    assert rig.puller.step().outcome == "WAITING"
    assert outcomes(rig) == []


def test_a_full_disk_leaves_the_order_to_be_taken_later(rig: BranchRig) -> None:
    rig.office.ask_orders(order_instruction("placed", "1", "a", {"milk": 1_000}))
    raw = rig.writer._writing._raw  # type: ignore[union-attr]
    raw.execute(f"PRAGMA max_page_count = {raw.execute('PRAGMA page_count').fetchone()[0]}")
    full = (each for _ in range(500) for each in rig.writer.commit([Record("milk", 1)]) if isinstance(each, Exception))
    assert getattr(next(full), "code", None) == "disk-full"
    assert "FAILED" in [rig.puller.step().outcome for _ in range(2)]
    assert outcomes(rig) == []
    raw.execute("PRAGMA max_page_count = 1000000")
    settle(rig)
    assert outcomes(rig) == ["reserved"]
