"""The puller: the catalogue with its chain, instructions as events in the log, tokens, and what it passes over."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import select

from branch_node.commands.transfer_commands import KeepTokens, StepTaken, TakeStep
from branch_node.database.schema import API_KEY, TRANSFER_TOKEN
from branch_node.database.stock.level_rows import acting_levels
from shared.catalogue_messages import CatalogueItem, CatalogueKey, CatalogueLevel, CatalogueLocation, level_change
from shared.levels.reorder_levels import ReorderLevel
from shared.messages import Instruction, InstructionLine, InstructionStep, Verdict
from shared.runtime.problems import Problem
from tests.support.branch_rig import BranchRig, Record
from tests.support.fake_head_office import FakeHeadOffice, problem

REVOKED = 1_767_268_800_000_001
HERE, THERE = "BEY-01", "TRI-01"
OUT, IN = InstructionStep.OUT, InstructionStep.IN
REFUSE_OUT, REFUSE_IN, REVERSE = InstructionStep.REFUSE_OUT, InstructionStep.REFUSE_IN, InstructionStep.REVERSE


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[BranchRig]:
    made = BranchRig(tmp_path)
    yield made
    made.close()


def asked(
    step: InstructionStep, transfer_id: str = "t1", *, token: int = 1, milk: int = 2_000, **fields: object
) -> Instruction:
    away = step in {IN, REFUSE_IN}
    made: dict[str, object] = {
        "transfer_id": transfer_id,
        "step": step,
        "token": token,
        "location_id": HERE,
        "source": THERE if away else HERE,
        "destination": HERE if away else THERE,
        "lines": (InstructionLine(1, "milk", milk, "l"),),
    }
    return Instruction(**{**made, **fields})  # type: ignore[arg-type]


def transfer_log(rig: BranchRig) -> list[tuple[str, str, str | None]]:
    events = [json.loads(line) for line in rig.lines()]
    return [
        (event["transfer_id"], event["type"].removeprefix("TRANSFER_"), event.get("reason"))
        for event in events
        if "transfer_id" in event
    ]


def tell(rig: BranchRig, *item_ids: str, unit: str = "l") -> None:
    for item_id in item_ids:
        rig.office.publish(item=CatalogueItem(item_id=item_id, name=item_id.title(), unit=unit))


# The catalogue


def test_the_catalogue_arrives_whole_and_its_changes_after(rig: BranchRig) -> None:
    level = ReorderLevel(reorder_point=1_000, order_quantity=3_000, supplier_id="farm", pack_size=500, lead_days=0)
    tell(rig, "milk", "cream")
    rig.office.publish(reorder_level=CatalogueLevel(location_id=HERE, item_id="milk", level=5_000, target=9_000))
    rig.office.publish(
        location=CatalogueLocation(location_id=HERE, name="Hamra", timezone="Asia/Beirut", day_start=300)
    )
    rig.ship()
    rig.pull()
    assert set(rig.writer.items) == {"milk", "cream"}
    assert rig.writer.location.day_start == 300
    with rig.store.reading() as connection:
        assert acting_levels(connection) == {"milk": ReorderLevel(reorder_point=5_000, order_up_to=9_000)}
    rig.office.publish(item=CatalogueItem(item_id="milk", name="Whole milk", unit="l", strict_at=(HERE, THERE)))
    rig.office.publish(reorder_level=CatalogueLevel(location_id=HERE, item_id="milk", level=0, target=0))
    rig.puller.step()
    rig.puller.step()
    with rig.store.reading() as connection:
        assert acting_levels(connection) == {}, "head office has removed it"
    rig.office.publish(reorder_level=level_change(HERE, "milk", level))
    rig.puller.step()
    rig.puller.step()
    assert rig.writer.items["milk"].name == "Whole milk"
    assert rig.writer.items["milk"].strict
    assert rig.office.seen.count("/v1/sync/catalogue") == 3
    rig.restart()
    assert rig.writer.items["milk"].strict
    rig.ship()
    rig.pull()
    assert rig.reader.sync_state().catalogue_version == 7
    with rig.store.reading() as connection:
        assert acting_levels(connection) == {"milk": level}


def test_a_catalogue_of_many_pages(rig: BranchRig) -> None:
    tell(rig, *(f"item-{number:04}" for number in range(2_500)))
    rig.ship()
    rig.pull()
    assert len(rig.writer.items) == 2_500
    assert rig.office.seen.count("/v1/sync/catalogue") == 3


def test_what_was_left_out_for_others_is_passed_by_its_hash(rig: BranchRig) -> None:
    tell(rig, "milk", "cream", "tea")
    left_out = rig.office.catalogue[1]
    rig.office.catalogue[1] = {"version": left_out["version"], "hash": left_out["hash"]}
    rig.ship()
    rig.pull()
    assert set(rig.writer.items) == {"milk", "tea"}
    assert rig.reader.sync_state().catalogue_version == 3


def test_a_catalogue_that_was_tampered_with_is_not_taken(rig: BranchRig) -> None:
    tell(rig, "milk", "cream")
    rig.office.catalogue[1]["item"] = {"item_id": "cream", "name": "Cream", "unit": "kg"}
    rig.ship()
    result = rig.puller.step()
    assert result.outcome == "FAILED"
    assert rig.writer.items == {}
    assert rig.reader.sync_state().catalogue_version == 0


def test_a_restored_head_offices_catalogue_is_pulled_from_the_beginning(rig: BranchRig) -> None:
    tell(rig, "milk")
    rig.office.publish(key=CatalogueKey(key_id="k-old", key_hash="11" * 32, role="staff"))
    rig.office.publish(key=CatalogueKey(key_id="k-lost", key_hash="22" * 32, role="staff"))
    rig.ship()
    rig.pull()
    assert keys(rig) == {"k-old", "k-lost"}
    del rig.office.catalogue[2:]
    tell(rig, "cream", "tea")
    rig.pull()
    rig.puller.step()
    rig.pull()
    assert set(rig.writer.items) == {"milk", "cream", "tea"}
    assert keys(rig) == {"k-old"}, "a key that head office no longer knows opens nothing"
    assert rig.reader.sync_state().catalogue_version == 4


def keys(rig: BranchRig) -> set[str]:
    with rig.store.reading() as connection:
        return set(connection.execute(select(API_KEY.c.key_id)).scalars())


def test_keys_of_people_arrive_and_their_revocation_acts(rig: BranchRig) -> None:
    rig.office.publish(key=CatalogueKey(key_id="k1", key_hash="11" * 32, role="staff", location_id=HERE))
    rig.office.publish(key=CatalogueKey(key_id="k2", key_hash="22" * 32, role="branch", location_id=HERE))
    rig.ship()
    rig.pull()
    assert keys(rig) == {"k1"}
    assert rig.key_changes == 1
    rig.office.publish(
        key=CatalogueKey(key_id="k1", key_hash="11" * 32, role="staff", location_id=HERE, revoked_at=REVOKED)
    )
    rig.pull()
    rig.pull()
    with rig.store.reading() as connection:
        assert connection.execute(select(API_KEY.c.revoked_at)).scalar_one() == REVOKED
    assert rig.key_changes == 2


def test_the_unit_of_an_item_in_use_stays(rig: BranchRig) -> None:
    rig.define("milk", "cream")
    rig.record(5_000)
    tell(rig, "milk", "cream", unit="kg")
    rig.ship()
    rig.pull()
    assert rig.writer.items["milk"].unit == "l"
    assert rig.writer.items["milk"].name == "Milk"
    assert rig.writer.items["cream"].unit == "kg"


def test_a_time_zone_unknown_here_changes_nothing(rig: BranchRig) -> None:
    rig.office.publish(location=CatalogueLocation(location_id=HERE, name="X", timezone="Mars/Base", day_start=0))
    rig.ship()
    rig.pull()
    assert rig.writer.location.timezone == "Asia/Beirut"
    assert rig.reader.sync_state().catalogue_version == 1


# Instructions


def test_a_transfer_out_and_its_reversal(rig: BranchRig) -> None:
    tell(rig, "milk")
    rig.ship()
    rig.pull()
    rig.record(5_000)
    rig.office.ask(asked(OUT))
    rig.pull()
    assert transfer_log(rig) == [("t1", "OUT", None)]
    assert rig.on_hand("milk") == 3_000
    event = json.loads(rig.lines()[-1])
    assert event["command_key"] == "transfer:t1:out"
    assert (event["transfer_line"], event["quantity"], event["unit"]) == (1, 2_000, "l")
    rig.ship()
    assert rig.office.lines == rig.lines()
    rig.office.ask(asked(REVERSE, token=2), asked(REFUSE_OUT, token=2))
    rig.pull()
    assert transfer_log(rig) == [("t1", "OUT", None), ("t1", "REVERSED", None)]
    assert rig.on_hand("milk") == 5_000
    undone = json.loads(rig.lines()[-1])
    assert (undone["voided_event_id"], undone["voided_sequence"]) == (event["event_id"], event["sequence"])


def test_a_refusal_is_recorded_and_carries_no_item(rig: BranchRig) -> None:
    tell(rig, "milk")
    rig.office.ask(asked(OUT, milk=1), asked(OUT, "t2"), asked(REFUSE_OUT, "t3", reason="deadline"))
    rig.ship()
    rig.pull()
    rig.pull()
    assert transfer_log(rig) == [
        ("t1", "REFUSED", "insufficient-stock"),
        ("t2", "REFUSED", "insufficient-stock"),
        ("t3", "REFUSED", "deadline"),
    ]
    assert all("item_id" not in json.loads(line) for line in rig.lines())


def test_the_last_litre_goes_to_one_of_two_transfers_in_one_page(rig: BranchRig) -> None:
    tell(rig, "milk")
    rig.ship()
    rig.pull()
    rig.record(3_000)
    rig.office.ask(asked(OUT, "t1"), asked(OUT, "t2"), asked(OUT, "t3", milk=1_000))
    groups = rig.writer.groups
    rig.pull()
    assert transfer_log(rig) == [("t1", "OUT", None), ("t2", "REFUSED", "insufficient-stock"), ("t3", "OUT", None)]
    assert rig.on_hand("milk") == 0
    assert rig.writer.groups == groups + 1, "all of a page in one commit"


def test_an_item_made_a_moment_ago_is_heard_of_before_it_is_refused(rig: BranchRig) -> None:
    tell(rig, "milk")
    rig.ship()
    rig.pull()
    tell(rig, "saffron")
    rig.office.ask(asked(IN, lines=(InstructionLine(1, "saffron", 500, "l"),)))
    rig.pull()
    assert transfer_log(rig) == [("t1", "IN", None)]
    assert rig.on_hand("saffron") == 500


@pytest.mark.parametrize(("unit", "reason"), [("", "unknown-item"), ("kg", "unit-differs")])
@pytest.mark.parametrize("step", [IN, OUT])
def test_what_cannot_be_booked_is_refused(rig: BranchRig, step: InstructionStep, unit: str, reason: str) -> None:
    if unit:
        tell(rig, "milk", unit=unit)
    rig.office.ask(asked(step))
    rig.ship()
    rig.pull()
    rig.pull()
    assert transfer_log(rig) == [("t1", "REFUSED", reason)]


def test_received_once_however_often_it_is_asked(rig: BranchRig) -> None:
    tell(rig, "milk")
    rig.office.ask(asked(IN), asked(IN, token=1))
    rig.ship()
    rig.pull()
    rig.pull()
    rig.office.ask(asked(IN, token=3), asked(REFUSE_IN, token=4))
    rig.pull()
    rig.puller.restart()
    rig.pull()
    rig.restart()
    rig.ship()
    rig.pull()
    assert transfer_log(rig) == [("t1", "IN", None)]
    assert rig.on_hand("milk") == 2_000


def test_old_tokens_are_passed_over_and_the_highest_is_kept(rig: BranchRig) -> None:
    rig.define("milk")
    rig.record(9_000)
    writer = rig.writer
    assert writer.commit([KeepTokens([asked(OUT, token=7)])])[0] is None
    (fenced,) = writer.commit([TakeStep(asked(OUT, token=6))])
    assert fenced == StepTaken("fenced", (), 7)
    assert transfer_log(rig) == []
    (taken,) = writer.commit([TakeStep(asked(OUT, token=7))])
    assert taken == StepTaken("recorded", ("TRANSFER_OUT",), 7)
    # The step is answered by its key from here on; a newer token must be kept all the same.
    writer.commit([KeepTokens([asked(OUT, token=9)]), TakeStep(asked(OUT, token=9))])
    (fenced,) = writer.commit([TakeStep(asked(REVERSE, token=8))])
    assert fenced == StepTaken("fenced", (), 9)
    with rig.store.reading() as connection:
        assert connection.execute(select(TRANSFER_TOKEN.c.token)).scalar_one() == 9
    writer.commit([KeepTokens([asked(OUT, token=3)])])
    with rig.store.reading() as connection:
        assert connection.execute(select(TRANSFER_TOKEN.c.token)).scalar_one() == 9, "tokens only grow"


def test_one_page_with_old_and_new_tokens_of_a_transfer(rig: BranchRig) -> None:
    tell(rig, "milk")
    rig.ship()
    rig.pull()
    rig.record(9_000)
    rig.office.ask(asked(OUT, token=1), asked(REFUSE_OUT, token=2))
    rig.pull()
    assert transfer_log(rig) == [("t1", "REFUSED", "cancelled")]


def test_the_same_step_with_other_lines_is_refused_loudly(rig: BranchRig) -> None:
    rig.define("milk")
    rig.record(9_000)
    rig.writer.commit([TakeStep(asked(OUT))])
    (refused,) = rig.writer.commit([TakeStep(asked(OUT, milk=3_000))])
    assert isinstance(refused, Problem)
    assert refused.code == "key-reused"
    assert rig.on_hand("milk") == 7_000


def test_what_went_astray_is_passed_over_and_the_others_are_not_held_up(rig: BranchRig) -> None:
    tell(rig, "milk")
    rig.office.ask(
        asked(OUT, "astray", source=THERE, destination=HERE),
        asked(IN, "astray-too", location_id=THERE),
        asked(IN, "mine"),
    )
    rig.ship()
    rig.pull()
    rig.pull()
    assert transfer_log(rig) == [("mine", "IN", None)]
    (refused,) = rig.writer.commit([TakeStep(asked(OUT, source=THERE, destination=HERE))])
    assert isinstance(refused, Problem)
    assert refused.code == "wrong-location"


def test_a_diverged_branch_takes_no_instruction(rig: BranchRig) -> None:
    tell(rig, "milk")
    rig.ship()
    rig.pull()
    rig.record(5_000)
    rig.office.verdict = Verdict.FORKED
    rig.office.ask(asked(OUT))
    rig.base.pass_time(30)
    rig.ship()
    assert rig.puller.step().outcome == "WAITING"
    assert transfer_log(rig) == []


def test_nothing_is_pulled_before_the_first_hello(rig: BranchRig) -> None:
    rig.office.ask(asked(OUT))
    assert rig.puller.step().outcome == "WAITING"
    assert rig.office.seen == []


@pytest.mark.parametrize("fault", ["unreachable", "lost-answer", "portal", "refused"])
@pytest.mark.parametrize("at", [0, 1])
def test_trouble_makes_the_shipper_ask(rig: BranchRig, fault: str, at: int) -> None:
    tell(rig, "milk")
    rig.ship()
    refused = (lambda _: problem(500, "internal-error")) if fault == "refused" else fault
    rig.office.faults.extend([*[None] * at, refused])
    results = [rig.puller.step() for _ in range(at + 1)]
    assert results[at].outcome == "FAILED"
    assert 0 < results[at].wait <= 0.25
    assert rig.shipper.step().outcome == "GREETED"
    rig.office.ask(asked(IN))
    rig.pull()
    rig.pull()
    assert transfer_log(rig) == [("t1", "IN", None)]


def test_a_full_disk_leaves_the_instruction_to_be_taken_later(rig: BranchRig) -> None:
    tell(rig, "milk")
    rig.ship()
    rig.pull()
    rig.office.ask(asked(IN))
    raw = rig.writer._writing._raw  # type: ignore[union-attr]
    raw.execute(f"PRAGMA max_page_count = {raw.execute('PRAGMA page_count').fetchone()[0]}")
    for _ in range(500):
        (outcome,) = rig.writer.commit([Record("milk", 1)])
        if isinstance(outcome, Problem):
            break
    assert isinstance(outcome, Problem)
    assert outcome.code == "disk-full"
    for _ in range(3):
        results = [rig.puller.step() for _ in range(2)]
        assert "FAILED" in [result.outcome for result in results]
    assert transfer_log(rig) == []
    raw.execute("PRAGMA max_page_count = 1000000")
    rig.ship()
    rig.pull()
    rig.pull()
    assert transfer_log(rig) == [("t1", "IN", None)]


def test_an_office_of_another_location_cannot_make_it_ship(tmp_path: Path) -> None:
    rig = BranchRig(tmp_path, FakeHeadOffice("BEY-01"))
    rig.define("milk")
    rig.office.location_id = "TRI-01"
    rig.record(1)
    rig.shipper.step()
    assert rig.shipper.step().outcome == "FAILED"
    assert rig.state == "UNAUTHORIZED"
    assert rig.office.lines == []
    rig.close()
