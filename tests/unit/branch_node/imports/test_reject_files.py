"""The files beside an import: whole, under a name of their own, and read back as they were."""

from __future__ import annotations

import csv
import fcntl
import os
import threading
from pathlib import Path

import pytest

from branch_node.imports.reject_files import Conflicts, Rejects, conflicts_path, rejects_path, without_reject_columns
from branch_node.imports.source_file import FileRefused, SourceFile, SourceRecord


def names(folder: Path) -> list[str]:
    return sorted(each.name for each in folder.iterdir())


def rows(path: Path) -> list[list[str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.reader(file))


def reject(path: Path, *cells: str) -> Path | None:
    """One row rejected; where it stands."""
    with Rejects(path) as rejects:
        rejects.begin(["id", "name"])
        rejects.add(3, "why, of all things", cells)
        return rejects.path if rejects.finish() else None


def test_a_file_is_put_in_place_whole(tmp_path: Path) -> None:
    path = tmp_path / "sales.csv.rejects.csv"
    with Rejects(path) as rejects:
        rejects.begin(["id", "name"])
        rejects.add(3, "why, of all things", ["1", 'a "b"\nc'])
        assert not path.exists()
        assert rejects.finish()
    assert rejects.path == path
    assert rows(path) == [["reject_line", "reject_reason", "id", "name"], ["3", "why, of all things", "1", 'a "b"\nc']]
    assert names(tmp_path) == [path.name]


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "sales.csv.rejects.csv"
    assert reject(path, "1", "first") == path
    path.write_text("edited\n")
    assert reject(path, "1", "second") == tmp_path / "sales.csv.rejects-2.csv"
    assert reject(path, "1", "third") == tmp_path / "sales.csv.rejects-3.csv"
    assert path.read_text() == "edited\n"
    assert "second" in (tmp_path / "sales.csv.rejects-2.csv").read_text()
    with Conflicts(conflicts_path(path)) as conflicts:
        conflicts.begin(["id"])
        conflicts.add_conflict(2, 7, "another", ["1"])
        assert conflicts.finish()
    assert conflicts.path == tmp_path / "sales.csv.conflicts.csv"
    with Conflicts(tmp_path / "sales.csv.conflicts.csv") as conflicts:
        conflicts.begin(["id"])
        conflicts.add_conflict(2, None, "another", ["=1"])
        assert conflicts.finish()
    assert rows(tmp_path / "sales.csv.conflicts-2.csv") == [
        ["conflict_line", "recorded_sequence", "conflict", "id"], ["2", "", "another", "'=1"],
    ]  # fmt: skip


def test_a_link_that_leads_nowhere_is_not_written_through(tmp_path: Path) -> None:
    path = tmp_path / "sales.csv.rejects.csv"
    path.symlink_to(tmp_path / "gone")
    assert reject(path, "1", "a") == tmp_path / "sales.csv.rejects-2.csv"
    assert path.is_symlink()


def test_nothing_is_overwritten_by_runs_at_one_time(tmp_path: Path) -> None:
    path, together = tmp_path / "sales.csv.rejects.csv", threading.Barrier(8)
    found: list[Path] = []

    def one(number: int) -> None:
        with Rejects(path) as rejects:
            rejects.begin(["id"])
            rejects.add(2, "why", [str(number)])
            together.wait(10)
            rejects.finish()
            found.append(rejects.path)

    threads = [threading.Thread(target=one, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert len(set(found)) == 8
    assert {rows(each)[1][2] for each in tmp_path.iterdir()} == {str(number) for number in range(8)}


def test_without_rejects_there_is_no_file(tmp_path: Path) -> None:
    path = tmp_path / "r.csv"
    with Rejects(path) as rejects:
        rejects.begin(["id"])
        assert not rejects.finish()
    assert names(tmp_path) == []
    path.write_text("of the run before\n")
    with Rejects(path) as rejects:
        rejects.begin(["id"])
        assert not rejects.finish()
    assert path.read_text() == "of the run before\n"


def test_a_run_that_is_cut_off_leaves_nothing(tmp_path: Path) -> None:
    def cut_off() -> None:
        with Rejects(tmp_path / "r.csv") as rejects:
            rejects.begin(["id"])
            rejects.add(2, "why", ["1"])
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cut_off()
    assert names(tmp_path) == []


def test_a_dry_run_counts_and_writes_nothing(tmp_path: Path) -> None:
    with Rejects(tmp_path / "no such folder" / "r.csv", keep=False) as rejects:
        rejects.begin(["id"])
        rejects.add(2, "why", ["1"])
        assert not rejects.finish()
        assert rejects.count == 1
    assert names(tmp_path) == []


def test_the_draft_of_a_killed_run_goes_and_that_of_a_running_one_stays(tmp_path: Path) -> None:
    path = tmp_path / "r.csv"
    killed = tmp_path / "r.csv.0123abcd.partial"
    killed.write_text("half a line")
    for name in ("r.csv.partial", "r.csv.mine.partial", "other.csv.0123abcd.partial"):
        (tmp_path / name).write_text("of somebody else")
    others = names(tmp_path)
    others.remove(killed.name)
    with Rejects(path) as running:
        running.begin(["id"])
        running.add(2, "why", ["1"])
        assert killed.exists() is False
        (draft,) = set(names(tmp_path)) - set(others)
        assert reject(path, "1", "a") == path
        assert (tmp_path / draft).exists()
        assert running.finish()
    assert running.path == tmp_path / "r-2.csv"
    assert set(names(tmp_path)) - set(others) == {"r.csv", "r-2.csv"}


def test_a_draft_that_was_taken_for_stale_is_begun_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the making of a draft and its lock another run may take it away."""
    flock, taken = fcntl.flock, list[Path]()

    def late(descriptor: int, how: int) -> None:
        if not taken:
            taken.extend(tmp_path.glob("*.partial"))
            taken[0].unlink()
        flock(descriptor, how)

    monkeypatch.setattr(fcntl, "flock", late)
    assert reject(tmp_path / "r.csv", "1", "a") == tmp_path / "r.csv"
    assert len(rows(tmp_path / "r.csv")) == 2


def test_where_no_lock_can_be_had_drafts_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unsupported(descriptor: int, how: int) -> None:
        raise OSError(95, "Operation not supported")

    (tmp_path / "r.csv.0123abcd.partial").write_text("perhaps of a run on another machine")
    monkeypatch.setattr(fcntl, "flock", unsupported)
    assert reject(tmp_path / "r.csv", "1", "a") == tmp_path / "r.csv"
    assert names(tmp_path) == ["r.csv", "r.csv.0123abcd.partial"]


def test_a_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    with pytest.raises(FileRefused, match="give --rejects PATH"):
        Rejects(tmp_path / "no such folder" / "r.csv")


def test_a_given_path_that_is_taken_is_refused(tmp_path: Path) -> None:
    file, taken = tmp_path / "sales.csv", tmp_path / "r.csv"
    file.write_text("id\n")
    taken.write_text("edited\n")
    with pytest.raises(FileRefused, match="is the file to import"):
        rejects_path(file, file)
    with pytest.raises(FileRefused, match=r"r\.csv is there already and is not overwritten: give another --rejects"):
        rejects_path(file, taken)
    taken.unlink()
    taken.symlink_to(tmp_path / "gone")
    with pytest.raises(FileRefused, match="is there already"):
        rejects_path(file, taken)
    assert rejects_path(file, tmp_path / "new.csv") == tmp_path / "new.csv"
    assert rejects_path(file, None) == tmp_path / "sales.csv.rejects.csv"


def test_the_path_that_was_given_taken_meanwhile(tmp_path: Path) -> None:
    """The rows are recorded by then: the rejects go to the next name rather than nowhere."""
    path = tmp_path / "mine"
    with Rejects(path) as rejects:
        rejects.begin(["id"])
        rejects.add(2, "why", ["1"])
        path.write_text("of another")
        assert rejects.finish()
    assert rejects.path == tmp_path / "mine-2"
    assert path.read_text() == "of another"


def test_a_row_of_other_bytes_comes_back_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"id\ncaf\xe9\n")
    with SourceFile(tmp_path / "a.csv") as file:
        _, bad = file.records(lambda _: None)
    with Rejects(tmp_path / "r.csv") as rejects:
        rejects.begin(["id"])
        rejects.add(bad.line, "not UTF-8", bad.cells)
        rejects.finish()
    assert (tmp_path / "r.csv").read_bytes() == b"reject_line,reject_reason,id\n2,not UTF-8,caf\xe9\n"


def test_our_columns_and_apostrophes_are_taken_off() -> None:
    given = [["reject_line", " reject_reason", "id", "'=a"], ["2", "why", "'-x", "''=b"], ["2"]]
    records = iter([SourceRecord(number, cells, None) for number, cells in enumerate(given, 1)])
    first, others = without_reject_columns(next(records), records)
    assert first.cells == ["id", "=a"]
    assert [each.cells for each in others] == [["-x", "'=b"], []]


@pytest.mark.parametrize(
    ("header", "ours"),
    [
        (["reject_line", " reject_reason"], True),
        (["reject_line", "reject_reason", "id"], True),
        (["reject_reason", "reject_line"], False),
        (["reject_line"], False),
        (["id", "reject_line", "reject_reason"], False),
        (["line", "reason", "id"], False),
        ([], False),
    ],
)
def test_a_rejects_file_is_known_by_its_first_two_columns(header: list[str], ours: bool) -> None:
    assert Rejects.is_header(header) is ours


def test_a_line_that_is_no_csv_stays(tmp_path: Path) -> None:
    records = iter([SourceRecord(1, ["reject_line", "reject_reason", "id"], None), SourceRecord(2, ["'=x"], "not CSV")])
    _, others = without_reject_columns(next(records), records)
    assert [each.cells for each in others] == [["'=x"]]


def test_permissions_are_those_of_any_new_file(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        path = reject(tmp_path / "r.csv", "1", "a")
    finally:
        os.umask(before)
    assert path is not None
    assert path.stat().st_mode & 0o777 == 0o640
