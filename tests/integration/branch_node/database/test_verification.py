"""Verify sees every kind of tampering with a branch's database, and nothing where there is none."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from branch_node.database import verification
from branch_node.database.verification import (
    VerificationFinding,
    count_events,
    count_items,
    verify_chain,
    verify_projection,
)
from tests.support.branch_rig import BranchRig

HERE = "BEY-01"


@pytest.fixture
def rig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[BranchRig]:
    monkeypatch.setattr(verification, "PAGE", 7)
    monkeypatch.setattr(verification, "ITEMS", 2)
    made = BranchRig(tmp_path)
    made.define("milk", "cream", "tea", "salt", "gin")
    for item_id in ("milk", "cream", "tea", "salt", "gin"):
        made.record(5_000, 2_000, item_id=item_id)
        made.record(1_000, item_id=item_id, kind="ORDER_DEDUCTION")
    made.record(9_000, item_id="tea", kind="STOCKTAKE")
    yield made
    made.close()


def findings(rig: BranchRig, *, deep: bool = False) -> list[VerificationFinding]:
    """What verify finds, having seen that it tells of its progress."""
    done: list[int] = []
    with rig.store.reading() as connection:
        broken = verify_chain(connection, HERE, done.append, deep=deep)
        if broken is None:
            assert sum(done) == count_events(connection, HERE) == 16
        done.clear()
        found = verify_projection(connection, HERE, done.append)
        assert sum(done) == count_items(connection, HERE)
    return ([broken] if broken else []) + found


def tamper(rig: BranchRig, *statements: str) -> None:
    """Change the file behind everybody's back, the triggers that keep the log immutable removed first."""
    with sqlite3.connect(rig.folder / "branch.db") as connection:
        for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            connection.execute(f"DROP TRIGGER {name}")
        for statement in statements:
            assert connection.execute(statement).rowcount > 0
    connection.close()


def test_an_honest_log_verifies(rig: BranchRig) -> None:
    assert findings(rig) == []
    assert findings(rig, deep=True) == []


def test_an_empty_one_too(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    empty = BranchRig(tmp_path / "empty")
    with empty.store.reading() as connection:
        assert verify_chain(connection, HERE, lambda _: None, deep=True) is None
        assert verify_projection(connection, HERE, lambda _: None) == []
    empty.close()


@pytest.mark.parametrize("sequence", [1, 7, 8, 16])
def test_a_changed_line_is_found_at_its_place(rig: BranchRig, sequence: int) -> None:
    changed = "CAST(replace(CAST(line AS TEXT), 'staff-1', 'staff-2') AS BLOB)"
    tamper(rig, f"UPDATE event SET line = {changed} WHERE sequence = {sequence}")
    (found,) = findings(rig)
    assert (found.what, found.sequence) == ("the hash is not that of the line", sequence)


def test_a_line_of_another_storage_class_is_found(rig: BranchRig) -> None:
    tamper(rig, "UPDATE event SET line = CAST(line AS TEXT) WHERE sequence = 3")
    assert [each.sequence for each in findings(rig)] == [3]


def test_a_rewritten_hash_is_found_at_the_next_event(rig: BranchRig) -> None:
    tamper(rig, "UPDATE event SET hash = zeroblob(32) WHERE sequence = 5")
    assert [each.sequence for each in findings(rig)] == [5]


def test_a_removed_event_is_missing(rig: BranchRig) -> None:
    tamper(rig, "DELETE FROM event WHERE sequence = 8")
    chain, *_ = findings(rig)
    assert (chain.what, chain.sequence) == ("an event is missing", 8)


def test_a_cut_off_end_does_not_reach_the_head(rig: BranchRig) -> None:
    tamper(rig, "DELETE FROM event WHERE sequence > 14")
    assert findings(rig)[0].what == "the head is not the last event"


def test_a_figure_that_is_not_the_fold(rig: BranchRig) -> None:
    tamper(rig, "UPDATE stock SET on_hand = on_hand + 1 WHERE item_id = 'gin'")
    (found,) = findings(rig)
    assert found.item_id == "gin"
    assert "6001" in (found.recorded or "")
    assert "6000" in (found.computed or "")


def test_a_figure_without_events_and_events_without_a_figure(rig: BranchRig) -> None:
    tamper(rig, "UPDATE stock SET item_id = 'zest' WHERE item_id = 'milk'")
    assert {each.item_id for each in findings(rig)} == {"milk", "zest"}


def test_a_forged_void(rig: BranchRig) -> None:
    tamper(rig, "INSERT INTO voided (location_id, sequence, by_sequence) VALUES ('BEY-01', 1, 16)")
    found = findings(rig)
    assert {each.item_id for each in found} == {"milk", None}
    assert found[-1].what == "the table of voids is not what the log says"


def test_a_column_that_is_not_what_the_line_says(rig: BranchRig) -> None:
    tamper(
        rig,
        "UPDATE event SET on_hand_change = on_hand_change + 5 WHERE sequence = 2",
        "UPDATE stock SET on_hand = on_hand + 5 WHERE item_id = 'milk'",
    )
    assert findings(rig) == [], "the lines verify, and the figures are the fold of the columns"
    (found,) = findings(rig, deep=True)
    assert (found.what, found.sequence) == ("the column on_hand_change is not what the line says", 2)
