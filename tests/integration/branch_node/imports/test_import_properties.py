"""Whatever a file holds and wherever a run is cut off: each row once, as foreseen, and nothing left out."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest.mock import patch

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from branch_node.commands.event_commands import RecordEvent
from branch_node.commands.event_inputs import EventContent
from branch_node.imports.recorders.local_recorders import DryRunRecorder
from branch_node.imports.register.row_commands import ImportEvent
from branch_node.model import Command, Decision, View
from shared.events import Cost, EventType, Reference
from tests.integration.branch_node.imports import import_runs
from tests.integration.branch_node.imports.import_runs import (
    TILL,
    WITH_IDS,
    a_till_file,
    direct,
    dry_run,
    keys,
    rejected,
    run,
)
from tests.support.branch import Branch, a_branch
from tests.support.events import MINUTE, NOON

rows = st.lists(
    st.tuples(
        st.integers(1, 12),
        st.sampled_from(["milk", "beans", "cup", "tea", " milk ", ""]),
        st.sampled_from(["1", "2.5", "1.000", "0", "-1", "x", "1.2345"]),
        st.sampled_from(["2025-12-30 12:00", "2025-12-31 09:30", "2026-01-01 13:59", "2026-01-01 15:00", "soon"]),
    ),
    max_size=25,
)


class CutOff(Exception):
    """The run ends here, as by a kill."""


def cut_off_after(branch: Branch, chunks: int):
    recorder = direct(branch)
    record, left = recorder.record, chunks

    def cut(items, given):
        nonlocal left
        left -= 1
        if left < 0:
            raise CutOff
        return record(items, given)

    recorder.record = cut  # type: ignore[method-assign]
    return recorder


def good(rows: list[tuple[int, str, str, str]], *, by_id: bool) -> dict[str, tuple[str, int]]:
    """By the rules as a person would say them: key -> item and thousandths, of the rows that must be in the log."""
    found: dict[str, tuple[str, int]] = {}
    for line, (number, code, quantity, at) in enumerate(rows, start=2):
        known = code.strip() in {"milk", "beans", "cup"}
        if known and quantity in {"1", "2.5", "1.000"} and at.startswith("20") and at <= "2026-01-01 14:05":
            found.setdefault(f"{number}" if by_id else f"#{line}", (code.strip(), round(float(quantity) * 1_000)))
    return found


def rows_in(branch: Branch) -> dict[str, int]:
    """How often each row stands in the log, by its id or its line."""
    return {key.rpartition(":")[2]: times for key, times in keys(branch).items()}


@settings(max_examples=40, deadline=None)
@given(rows, st.booleans(), st.lists(st.integers(0, 6), max_size=3))
def test_cut_off_anywhere_and_run_again(
    given_rows: list[tuple[int, str, str, str]], by_id: bool, cuts: list[int]
) -> None:
    mapped = WITH_IDS if by_id else TILL
    with (
        TemporaryDirectory() as folder,
        a_branch(Path(folder) / "node") as branch,
        patch.object(import_runs, "CHUNK", 4),
        patch.object(DryRunRecorder, "chunk", 4),
    ):
        file = a_till_file(Path(folder) / "sales.csv", [f"{n},{code},{q},{at}" for n, code, q, at in given_rows])
        foreseen = dry_run(branch, file, mapped, rejects=Path(folder) / "foreseen.csv")
        for chunks in cuts:
            try:
                run(cut_off_after(branch, chunks), file, mapped)
            except CutOff:
                continue
        summary = run(direct(branch), file, mapped)
        assert summary.rows == len(given_rows)
        known = summary.recorded + summary.already_recorded + summary.repeated
        assert summary.rows == known + summary.rejected + summary.conflicting
        assert summary.by_type == foreseen.by_type
        if summary.already_imported is not None:
            assert not by_id
            assert summary.already_recorded == len(given_rows)
        elif cuts:
            # A row that may not be recorded is a conflict once a run before recorded a later one under its id.
            moved = summary.conflicting - foreseen.conflicting
            assert 0 <= moved == foreseen.rejected - summary.rejected
            assert by_id or moved == 0
        else:
            assert (summary.rejected, summary.conflicting) == (foreseen.rejected, foreseen.conflicting)
        expected = good(given_rows, by_id=by_id)
        assert rows_in(branch) == dict.fromkeys(expected, 1)
        sold: Counter[str] = Counter()
        for item_id, thousandths in expected.values():
            sold[item_id] += thousandths
        assert {item: -standing.on_hand for item, standing in branch.standings().items()} == sold
        if summary.rejected and len(cuts) == 0:
            lines = [line for line, _ in rejected(file)]
            assert lines == sorted(set(lines))
            assert len(lines) == summary.rejected


class Compare(Command):
    """Has two commands decide on the same view, and records neither."""

    def __init__(self, one: Command, other: Command) -> None:
        self.commands = (one, other)

    def decide(self, view: View) -> Decision:
        return Decision(answer=[command.decide(view).events for command in self.commands])


optional_code = st.none() | st.sampled_from(["a", "b c"])
entries = st.builds(
    EventContent,
    type=st.sampled_from([EventType.ORDER_DEDUCTION, EventType.WASTE_RECORDED, EventType.ADJUSTMENT]),
    item_id=st.sampled_from(["milk", "gin"]),
    quantity=st.integers(1, 10**9),
    occurred_at=st.integers(NOON - 10**15, NOON + 5 * MINUTE),
    reference=st.none() | st.builds(Reference, id=st.just("7"), kind=st.just("order"), line=st.none() | st.just(2)),
    reason=st.sampled_from(["a", "b"]),
    note=optional_code,
    cost=st.none() | st.just(Cost(amount="1.5", currency="USD")),
    source=st.sampled_from(["till-7", "api"]),
    lot=optional_code,
    expires_on=st.none() | st.just("2026-02-01"),
    area=optional_code,
)


@pytest.fixture(scope="module")
def module_branch(tmp_path_factory: pytest.TempPathFactory):
    with a_branch(tmp_path_factory.mktemp("branch")) as branch:
        branch.event("PURCHASE_RECEIVED", "gin", 1_000_000_000)
        yield branch


@settings(deadline=None)
@given(entry=entries)
def test_an_imported_row_is_the_event_that_would_be_recorded_by_hand(
    module_branch: Branch, entry: EventContent
) -> None:
    key, actor = "import/till-7/sales.csv/#2", "localcli"
    by_hand, imported = RecordEvent(entry, key=key, actor=actor), ImportEvent(entry, key=key, actor=actor)
    assert by_hand.digest == imported.digest
    if entry.item_id == "gin" and entry.occurred_at is not None and entry.occurred_at < NOON:
        return  # refused alike: a strict item, before its delivery
    (one,), (other,) = module_branch.run(Compare(by_hand, imported))
    assert msgspec.structs.replace(one, event_id=other.event_id) == other
