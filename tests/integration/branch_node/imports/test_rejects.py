"""What an import could not record: files that stay as they are, and that are imported again by the same map."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from branch_node.imports.source_file import FileRefused
from tests.integration.branch_node.imports.import_runs import (
    TILL,
    WITH_IDS,
    a_till_file,
    dry_run,
    import_file,
    rejected,
    sales,
)
from tests.support.branch import Branch, a_branch

AT = "2025-12-31 12:00"


@pytest.fixture
def branch(tmp_path: Path):
    with a_branch(tmp_path / "node") as found:
        yield found


def mend(path: Path, name: str, wrong: str, right: str) -> Path:
    """A copy of a rejects file, as a person corrects it."""
    mended = path.with_name(name)
    mended.write_text(path.read_text().replace(wrong, right))
    return mended


def test_rejects_of_rejects(branch: Branch, tmp_path: Path) -> None:
    """Mended in two steps: what is still wrong goes to a file of its own, with the columns of the first."""
    file = a_till_file(tmp_path / "sales.csv", [f"1,mlik,1,{AT}", f"2,bens,1,{AT}", f"3,milk,1,{AT}"])
    assert import_file(branch, file).rejected == 2
    first = Path(f"{file}.rejects.csv")
    first.write_text(first.read_text().replace("mlik", "milk"))
    summary = import_file(branch, first)
    assert (summary.rows, summary.recorded, summary.rejected) == (2, 1, 1)
    second = Path(f"{first}.rejects.csv")
    assert second.read_text().splitlines()[0] == "reject_line,reject_reason,id,code,qty,at"
    assert [line for line, _ in rejected(first)] == [3]
    assert "reject_line,reject_reason,id" in first.read_text(), "the file that was imported stays"
    assert import_file(branch, mend(second, "last.csv", "bens", "beans")).rejected == 0
    assert (branch.on_hand("milk"), branch.on_hand("beans")) == (-2_000, -1_000)


@pytest.mark.parametrize("header", ["line,reason,code,qty,at", "code,line,qty,reason,at", "id,code,qty,at,conflict"])
def test_columns_of_the_file_with_names_like_ours(branch: Branch, tmp_path: Path, header: str) -> None:
    places = {"code": "mlik", "qty": "1", "at": AT}
    file = tmp_path / "sales.csv"
    file.write_text(f"{header}\n" + ",".join(places.get(name, "own") for name in header.split(",")) + "\n")
    assert import_file(branch, file).rejected == 1
    mended = mend(Path(f"{file}.rejects.csv"), "mended.csv", "mlik", "milk")
    assert mended.read_text().startswith(f"reject_line,reject_reason,{header}\n")
    assert import_file(branch, mended).recorded == 1
    assert branch.on_hand("milk") == -1_000


def test_an_edited_file_is_never_overwritten(branch: Branch, tmp_path: Path) -> None:
    file = a_till_file(tmp_path / "sales.csv", [*sales(2), f"3,mlik,1,{AT}"])
    import_file(branch, file, WITH_IDS)
    edited = Path(f"{file}.rejects.csv")
    edited.write_text("half of an evening's work\n")
    again = import_file(branch, file, WITH_IDS)
    assert again.rejects == f"{file}.rejects-2.csv"
    before = sorted(tmp_path.glob("*.csv*"))
    for _ in range(2):
        foreseen = dry_run(branch, file, WITH_IDS)
        assert (foreseen.rejected, foreseen.rejects, foreseen.conflicts) == (1, None, None)
    assert sorted(tmp_path.glob("*.csv*")) == before
    assert edited.read_text() == "half of an evening's work\n"


def test_a_given_path_that_is_taken_is_refused_before_anything_is_recorded(branch: Branch, tmp_path: Path) -> None:
    file = a_till_file(tmp_path / "sales.csv", sales(2))
    taken = tmp_path / "mine.csv"
    taken.write_text("mine\n")
    with pytest.raises(FileRefused, match="is not overwritten"):
        import_file(branch, file, rejects=taken)
    assert branch.events() == []
    assert taken.read_text() == "mine\n"


def test_cells_that_a_spreadsheet_would_run_come_back(branch: Branch, tmp_path: Path) -> None:
    """The note of the event is what stood in the till's file, whatever the file of rejects had before it."""
    mapped = TILL.replace("[columns]", '[columns]\nnote = "=note"')
    notes = ["=1+1", "'=1", "-2", "-x", "@a", "'plain"]
    file = tmp_path / "sales.csv"
    rows = [f"mlik,1,{AT},{note}\n" for note in notes]
    file.write_text("code,qty,at,=note\n" + "".join(rows))
    assert import_file(branch, file, mapped).rejected == len(notes)
    written = Path(f"{file}.rejects.csv")
    with written.open(newline="") as text:
        table = list(csv.reader(text))
    assert [row[-1] for row in table] == ["'=note", "'=1+1", "''=1", "-2", "'-x", "'@a", "'plain"]
    assert import_file(branch, mend(written, "mended.csv", "mlik", "milk"), mapped).recorded == len(notes)
    assert [event.note for event in branch.events()] == notes


def test_apostrophes_of_a_till_stay(branch: Branch, tmp_path: Path) -> None:
    file = tmp_path / "sales.csv"
    file.write_text(f"code,qty,at,note\nmilk,1,{AT},'=1\n")
    assert import_file(branch, file, TILL.replace("[columns]", '[columns]\nnote = "note"')).recorded == 1
    assert branch.events()[0].note == "'=1"


def test_rejects_of_a_file_without_header_are_imported_by_the_same_map(branch: Branch, tmp_path: Path) -> None:
    mapped = 'header = ["id", "code", "qty", "at"]\n' + TILL
    file = tmp_path / "sales.csv"
    file.write_text(f"1,mlik,1,{AT}\n2,milk,1,{AT}\n")
    assert import_file(branch, file, mapped).rejected == 1
    summary = import_file(branch, mend(Path(f"{file}.rejects.csv"), "mended.csv", "mlik", "milk"), mapped)
    assert (summary.rows, summary.recorded) == (1, 1)


def test_a_row_with_too_few_cells_is_mended_too(branch: Branch, tmp_path: Path) -> None:
    file = a_till_file(tmp_path / "sales.csv", ["1,milk,1"])
    assert import_file(branch, file).rejected == 1
    assert rejected(file) == [(2, "has 3 cells, the header has 4")]
    mended = mend(Path(f"{file}.rejects.csv"), "mended.csv", "1,milk,1", f"1,milk,1,{AT}")
    assert import_file(branch, mended).recorded == 1
