"""What is the same row and the same file: by the row's own id, else by the bytes of the file; never by a name."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from branch_node.imports.register.import_lifecycle import UndoStep
from branch_node.imports.register.import_runs import ImportState, find_import, standing_sequences
from shared.runtime.problems import Problem
from shared.stock import NOTHING
from tests.integration.branch_node.imports.import_runs import (
    TILL,
    WITH_IDS,
    a_till_file,
    dry_run,
    import_file,
    rejected,
)
from tests.support.branch import Branch, a_branch

ONE, TWO, THREE = (f"{number},milk,1,2025-12-31 12:0{number}" for number in (1, 2, 3))
EQUAL = "1,milk,1,2025-12-31 12:00"


@pytest.fixture
def branch(tmp_path: Path):
    with a_branch(tmp_path / "node") as found:
        found.event("PURCHASE_RECEIVED", "milk", 10, occurred_at="2025-12-30T12:00:00Z")
        yield found


def left(branch: Branch) -> int:
    return branch.on_hand("milk") // 1_000


def undo(branch: Branch, import_id: str) -> int:
    voided = 0
    while True:
        (step,) = branch.writer.commit([UndoStep(import_id, actor="localcli")])
        assert isinstance(step, int), step
        voided += step
        with branch.store.reading() as connection:
            if find_import(connection, import_id).state is ImportState.UNDONE:
                return voided


def test_ids_are_known_whatever_the_file_is_called(branch: Branch, tmp_path: Path) -> None:
    import_file(branch, a_till_file(tmp_path / "monday.csv", [ONE, TWO]), WITH_IDS)
    assert left(branch) == 8
    again = import_file(branch, a_till_file(tmp_path / "again.csv", [ONE, TWO]), WITH_IDS)
    assert (again.recorded, again.already_recorded, left(branch)) == (0, 2, 8)
    longer = a_till_file(tmp_path / "week.csv", [ONE, TWO, THREE])
    assert dry_run(branch, longer, WITH_IDS).recorded == 1
    export = import_file(branch, longer, WITH_IDS)
    assert (export.recorded, export.already_recorded, left(branch)) == (1, 2, 7)
    other_order = tmp_path / "columns.csv"
    other_order.write_text("at,qty,code,id\n2025-12-31 12:03,1,milk,3\n")
    assert import_file(branch, other_order, WITH_IDS).already_recorded == 1


def test_without_ids_a_file_is_known_by_its_bytes(branch: Branch, tmp_path: Path) -> None:
    first = import_file(branch, a_till_file(tmp_path / "a.csv", [EQUAL, EQUAL]))
    assert left(branch) == 8
    same = import_file(branch, a_till_file(tmp_path / "b.csv", [EQUAL, EQUAL]))
    assert (same.already_imported, same.already_recorded, same.recorded) == (first.import_id, 2, 0)
    assert left(branch) == 8
    longer = a_till_file(tmp_path / "c.csv", [EQUAL, EQUAL, EQUAL])
    assert dry_run(branch, longer).recorded == 1
    third = import_file(branch, longer)
    assert (third.rows, third.recorded, third.already_recorded, left(branch)) == (3, 1, 2, 7)
    for file in (tmp_path / "a.csv", tmp_path / "c.csv"):
        assert import_file(branch, file).already_imported is not None
    assert left(branch) == 7


@pytest.mark.parametrize("attempt", [import_file, dry_run])
def test_other_content_under_an_old_name_is_refused(branch: Branch, tmp_path: Path, attempt) -> None:
    file = a_till_file(tmp_path / "a.csv", [ONE, TWO])
    import_file(branch, file)
    a_till_file(file, [TWO, THREE])
    with pytest.raises(Problem) as refused:
        attempt(branch, file)
    assert refused.value.code == "import-file-differs"
    assert "rejects file" in (refused.value.hint or "")
    assert left(branch) == 8


@pytest.mark.parametrize("attempt", [import_file, dry_run])
def test_a_last_line_that_grew_is_no_continuation(branch: Branch, tmp_path: Path, attempt) -> None:
    file = tmp_path / "a.csv"
    file.write_text(f"id,code,qty,at\n{ONE}")
    import_file(branch, file)
    for name in ("a.csv", "b.csv"):
        other = tmp_path / name
        other.write_text(f"id,code,qty,at\n{ONE}5\n{TWO}\n")
        with pytest.raises(Problem, match="import-file-differs"):
            attempt(branch, other)
    file.write_text(f"id,code,qty,at\n{ONE}\n{TWO}\n")
    assert attempt(branch, file).recorded == 1


@pytest.mark.parametrize("attempt", [import_file, dry_run])
def test_the_beginning_of_a_file_that_was_imported_is_refused(branch: Branch, tmp_path: Path, attempt) -> None:
    import_file(branch, a_till_file(tmp_path / "week.csv", [ONE, TWO, THREE]))
    with pytest.raises(Problem, match="import-begins-another"):
        attempt(branch, a_till_file(tmp_path / "monday.csv", [ONE, TWO]))
    assert left(branch) == 7


def test_ids_within_a_day_a_till_or_a_file(branch: Branch, tmp_path: Path) -> None:
    today, tomorrow = "1,milk,1,2025-12-30 12:00", "1,milk,1,2025-12-31 12:00"
    by_day = 'id_scope = "day"\n' + WITH_IDS
    first = import_file(branch, a_till_file(tmp_path / "a.csv", [today, tomorrow]), by_day)
    assert (first.recorded, first.conflicting) == (2, 0)
    again = import_file(branch, a_till_file(tmp_path / "b.csv", [tomorrow, today]), by_day)
    assert (again.recorded, again.already_recorded, left(branch)) == (0, 2, 8)
    by_till = 'id_scope = { column = "till" }\n' + WITH_IDS.replace("till-7", "till-8")
    file = tmp_path / "tills.csv"
    file.write_text(f"id,code,qty,at,till\n{today},1\n{today},2\n{today},1\n{today},\n")
    tills = import_file(branch, file, by_till)
    assert (tills.recorded, tills.repeated, tills.rejected, left(branch)) == (2, 1, 1, 6)
    by_file = 'id_scope = "file"\n' + WITH_IDS.replace("till-7", "till-9")
    for name in ("c.csv", "d.csv"):
        import_file(branch, a_till_file(tmp_path / name, [today]), by_file)
    assert left(branch) == 5
    import_file(branch, a_till_file(tmp_path / "e.csv", [today, TWO]), by_file)
    assert left(branch) == 4


def test_a_summary_says_what_stands_in_the_log(branch: Branch, tmp_path: Path) -> None:
    summary = import_file(branch, a_till_file(tmp_path / "a.csv", [ONE, ONE, ONE]), WITH_IDS)
    assert (summary.recorded, summary.repeated) == (1, 2)
    document = msgspec.json.decode(msgspec.json.encode(summary.document()))
    assert document["by_type"] == {"ORDER_DEDUCTION": {"events": 1, "quantity": 1}}
    again = import_file(branch, tmp_path / "a.csv", WITH_IDS)
    assert (again.recorded, again.already_recorded, again.repeated) == (0, 1, 2)
    assert again.by_type == summary.by_type


def test_a_conflict_that_is_a_sale_of_its_own_is_recorded_once(branch: Branch, tmp_path: Path) -> None:
    import_file(branch, a_till_file(tmp_path / "a.csv", [ONE, TWO]), WITH_IDS)
    reused = ["1,milk,2,2025-12-31 13:00", "2,milk,3,2025-12-31 13:00"]
    file = a_till_file(tmp_path / "b.csv", reused)
    refused = import_file(branch, file, WITH_IDS)
    assert (refused.conflicting, left(branch)) == (2, 8)
    assert dry_run(branch, file, WITH_IDS).conflicting == 2
    accepted = import_file(branch, file, WITH_IDS, accept="2")
    assert (accepted.recorded, accepted.conflicting, left(branch)) == (1, 1, 6)
    for accept in (None, "2", "2-3", "all"):
        import_file(branch, file, WITH_IDS, accept=accept)
    assert left(branch) == 3
    last = import_file(branch, file, WITH_IDS)
    assert (last.recorded, last.already_recorded, last.conflicting) == (0, 2, 0)


def test_an_undone_import_can_be_imported_again(branch: Branch, tmp_path: Path) -> None:
    for mapped in (WITH_IDS, TILL.replace("till-7", "till-8")):
        file = a_till_file(tmp_path / "a.csv", [ONE, TWO])
        first = import_file(branch, file, mapped)
        assert first.import_id is not None
        assert left(branch) == 8
        assert undo(branch, first.import_id) == 2
        assert (left(branch), undo(branch, first.import_id)) == (10, 0)
        wrong_map_mended = mapped.replace("Beirut", "Dubai")
        second = import_file(branch, file, wrong_map_mended)
        assert (second.recorded, second.conflicting, left(branch)) == (2, 0, 8)
        assert second.import_id != first.import_id
        again = import_file(branch, file, wrong_map_mended)
        assert (again.recorded, again.already_recorded, left(branch)) == (0, 2, 8)
        assert undo(branch, second.import_id or "") == 2
        assert left(branch) == 10


BY_DAY, BY_FILE = (f'id_scope = "{scope}"\n{WITH_IDS}' for scope in ("day", "file"))


@pytest.mark.parametrize("attempt", [import_file, dry_run])
@pytest.mark.parametrize(
    ("first", "then"),
    [
        (TILL, WITH_IDS), (WITH_IDS, TILL), (WITH_IDS, BY_DAY), (BY_DAY, WITH_IDS), (BY_FILE, TILL), (TILL, BY_FILE),
        (WITH_IDS, WITH_IDS.replace('id = "id"', 'id = "at"')),
    ],
)  # fmt: skip
def test_rows_stay_known_by_what_they_were_in_a_longer_file(
    branch: Branch, tmp_path: Path, first: str, then: str, attempt
) -> None:
    import_file(branch, a_till_file(tmp_path / "a.csv", [ONE, TWO]), first)
    longer = a_till_file(tmp_path / "b.csv", [ONE, TWO, THREE])
    with pytest.raises(Problem, match="import-keys-differ") as refused:
        attempt(branch, longer, then)
    assert "undo" in (refused.value.hint or "")
    assert left(branch) == 8
    assert attempt(branch, longer, first).recorded == 1


ROWS = [f"{number},milk,1,2025-12-31 12:{number:02d}" for number in range(1, 8)]


@pytest.mark.parametrize("undone", [(0,), (1,), (0, 1), (0, 2), (1, 2)])
@pytest.mark.parametrize("longer", [7, 6])
def test_a_file_whose_beginning_was_undone_is_imported_whole(
    branch: Branch, tmp_path: Path, undone: Sequence[int], longer: int
) -> None:
    file = tmp_path / "a.csv"
    imports = [import_file(branch, a_till_file(file, ROWS[:count])).import_id or "" for count in (2, 4, 6)]
    assert left(branch) == 4
    for each in undone:
        undo(branch, imports[each])
    missing = 2 * len(undone)
    assert left(branch) == 4 + missing
    a_till_file(file, ROWS[:longer])
    foreseen = dry_run(branch, file)
    again = import_file(branch, file)
    expected = (longer, missing + longer - 6, 6 - missing)
    for summary in (foreseen, again):
        assert (summary.rows, summary.recorded, summary.already_recorded) == expected
    assert left(branch) == 10 - longer
    assert import_file(branch, file).already_imported == again.import_id
    undo(branch, again.import_id or "")
    assert import_file(branch, file).conflicting == 0
    assert left(branch) == 10 - longer


def test_what_was_rejected_of_a_part_that_stands_is_left_to_its_rejects(branch: Branch, tmp_path: Path) -> None:
    file = a_till_file(tmp_path / "a.csv", ROWS[:2])
    first = import_file(branch, file)
    import_file(branch, a_till_file(file, [*ROWS[:2], ROWS[2], ROWS[3].replace("milk", "tea")]))
    branch.define("tea")
    import_file(branch, tmp_path / "a.csv.rejects.csv")
    assert branch.on_hand("tea") == -1_000
    undo(branch, first.import_id or "")
    assert import_file(branch, file).recorded == 2
    assert (left(branch), branch.on_hand("tea")) == (7, -1_000)


def test_a_conflict_within_a_file_of_ids_of_its_own_is_accepted_once(branch: Branch, tmp_path: Path) -> None:
    file = a_till_file(tmp_path / "a.csv", [ONE, "1,milk,2,2025-12-31 13:00", "2,tea,1,2025-12-31 13:00"])
    first = import_file(branch, file, BY_FILE)
    assert (first.recorded, first.conflicting, first.rejected) == (1, 1, 1)
    branch.define("tea")
    import_file(branch, tmp_path / "a.csv.rejects.csv", BY_FILE)
    for recorded in (1, 0):
        accepted = import_file(branch, file, BY_FILE, accept="2-4")
        assert (accepted.rows, accepted.recorded, accepted.conflicting) == (3, recorded, 0)
        # The row that was rejected is not recorded beside its mended one.
        assert [line for line, _ in rejected(file)] == [4]
        assert (left(branch), branch.on_hand("tea")) == (7, -1_000)
    assert import_file(branch, file, BY_FILE).already_imported == first.import_id


def test_an_accepted_row_stays_one_sale_when_its_id_is_free_again(branch: Branch, tmp_path: Path) -> None:
    first = import_file(branch, a_till_file(tmp_path / "a.csv", [ONE]), WITH_IDS)
    file = a_till_file(tmp_path / "b.csv", ["1,milk,2,2025-12-31 13:00"])
    import_file(branch, file, WITH_IDS, accept="all")
    assert left(branch) == 7
    undo(branch, first.import_id or "")
    assert left(branch) == 8
    again = import_file(branch, file, WITH_IDS)
    assert (again.recorded, again.already_recorded, left(branch)) == (0, 1, 8)
    assert import_file(branch, tmp_path / "a.csv", WITH_IDS).recorded == 1
    assert left(branch) == 7


def test_an_undo_voids_what_still_stands_however_often_it_is_cut_off(
    branch: Branch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("branch_node.imports.register.import_lifecycle.VOIDS", 2)
    rows = [f"{number},milk,1,2025-12-31 12:{number:02d}" for number in range(1, 6)]
    file = a_till_file(tmp_path / "a.csv", rows)
    summary = import_file(branch, file, WITH_IDS)
    assert summary.import_id is not None
    branch.event("ORDER_DEDUCTION", "milk", 1, occurred_at="2025-12-31T12:00:00Z")
    assert left(branch) == 4
    with branch.store.reading() as connection:
        (second, *_) = standing_sequences(connection, summary.import_id, 10)[1:]
    branch.void(next(event.event_id for event in branch.events() if event.sequence == second))
    (step,) = branch.writer.commit([UndoStep(summary.import_id, actor="localcli")])
    assert step == 2
    with pytest.raises(Problem, match="import-being-undone"):
        import_file(branch, file, WITH_IDS)
    assert undo(branch, summary.import_id) == 2
    assert left(branch) == 9
    voids = [event.voided_sequence for event in branch.events() if event.voided_sequence is not None]
    assert len(voids) == len(set(voids)) == 5


lines = st.lists(st.sampled_from([ONE, TWO, THREE, EQUAL]), min_size=1, max_size=6)


@settings(max_examples=15, deadline=None)
@given(lines, st.lists(st.tuples(st.integers(0, 6), st.sampled_from(["a.csv", "b.csv", "c.csv"])), max_size=6))
def test_exports_that_grow_are_recorded_once(rows: Sequence[str], exports: list[tuple[int, str]]) -> None:
    """Whatever beginnings of one growing file come, in any order, under any names: what was read longest stands."""
    with TemporaryDirectory() as folder, a_branch(Path(folder) / "node") as branch:
        longest = 0
        for count, name in exports:
            file = a_till_file(Path(folder) / name, rows[:count])
            refusal = None
            try:
                import_file(branch, file)
            except Problem as refused:
                refusal = refused.code
            assert refusal is None or len(rows[:count]) < longest
            assert refusal in {None, "import-begins-another", "import-file-differs"}
            if refusal is None:
                longest = max(longest, len(rows[:count]))
            standing = branch.standings().get("milk", NOTHING)
            assert standing.on_hand == -1_000 * longest
