"""`larder branch imports`: the list, one import, and its undo, with and without a node that serves."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path

import pytest

from tests.integration.branch_node.cli.test_commands import Branch
from tests.integration.branch_node.imports.import_runs import WITH_IDS, a_till_file, sales


@pytest.fixture
def branch(tmp_path: Path) -> Branch:
    return Branch(tmp_path / "node").with_milk()


def on_hand(branch: Branch) -> object:
    return branch.json("stock")["items"][0]["on_hand"]


@pytest.mark.parametrize("served", [False, True])
def test_an_import_is_listed_shown_and_undone(branch: Branch, tmp_path: Path, served: bool) -> None:
    file, map_file = a_till_file(tmp_path / "sales.csv", [*sales(3), "9,mlik,1,2025-12-01 10:00"]), tmp_path / "m.toml"
    map_file.write_text(WITH_IDS)
    assert "Nothing was imported yet." in branch.run("imports", "list").stdout
    with branch.serve() if served else nullcontext():
        assert branch.run("import", file, "--map", map_file).returncode == 1
        (listed,) = branch.json("imports", "list")["items"]
        import_id = listed["import_id"]
        assert (listed["file"], listed["source"], listed["rows"], listed["recorded"], listed["state"]) == (
            "sales.csv", "till-7", 4, 3, "IMPORTED",
        )  # fmt: skip
        shown = branch.json("imports", "show", import_id)
        assert shown["by_type"] == {"ORDER_DEDUCTION": {"events": 3, "quantity": 3}}
        assert (shown["rejected"], on_hand(branch)) == (1, -3)
        told = branch.run("imports", "undo", import_id)
        assert f"larder branch imports undo {import_id} --yes" in told.stdout
        assert on_hand(branch) == -3
        done = branch.json("imports", "undo", import_id, "--yes", "--reason", "wrong-map")
        assert done == {"import_id": import_id, "voided": 3, "state": "UNDONE"}
        assert branch.json("imports", "undo", import_id, "--yes")["voided"] == 0
        assert (on_hand(branch), branch.json("imports", "show", import_id)["by_type"]) == (0, {})
        branch.run("import", file, "--map", map_file)
        states = [each["state"] for each in branch.json("imports", "list")["items"]]
        assert (states, on_hand(branch)) == (["IMPORTED", "UNDONE"], -3)
    assert "unknown-import" in branch.refused("imports", "show", "1999-01-01-1")


def test_a_file_that_was_imported_is_told_so(branch: Branch, tmp_path: Path) -> None:
    file, map_file = a_till_file(tmp_path / "sales.csv", sales(3)), tmp_path / "m.toml"
    map_file.write_text(WITH_IDS.replace('id = "id"\n', ""))
    first = branch.json("import", file, "--map", map_file)
    again = branch.json("import", file, "--map", map_file)
    assert (again["already_imported"], again["already_recorded"], again["recorded"]) == (first["import_id"], 3, 0)
    assert again["by_type"] == first["by_type"] == {"ORDER_DEDUCTION": {"events": 3, "quantity": 3}}
    assert "was imported already" in branch.run("import", file, "--map", map_file).stdout


def test_conflicts_are_accepted_by_line(branch: Branch, tmp_path: Path) -> None:
    map_file = tmp_path / "m.toml"
    map_file.write_text(WITH_IDS)
    branch.json("import", a_till_file(tmp_path / "a.csv", sales(2)), "--map", map_file)
    other = a_till_file(tmp_path / "b.csv", ["1,milk,4,2025-12-02 10:00", "2,milk,5,2025-12-02 10:00"])
    assert branch.run("import", other, "--map", map_file).returncode == 1
    taken = branch.run("import", other, "--map", map_file, "--accept-conflicts", "3")
    assert (taken.returncode, on_hand(branch)) == (1, -7)
    assert branch.run("import", other, "--map", map_file, "--accept-conflicts", "all").returncode == 0
    assert on_hand(branch) == -11
    for wrong in ("x", "4;5", "0", "7-3"):
        told = branch.refused("import", other, "--map", map_file, "--accept-conflicts", wrong, code=2)
        assert "accept-conflicts" in told


def test_standard_input_is_a_file_too(branch: Branch, tmp_path: Path) -> None:
    map_file = tmp_path / "m.toml"
    map_file.write_text(WITH_IDS)
    file = a_till_file(tmp_path / "a.csv", [*sales(2), "9,mlik,1,2025-12-01 10:00"])
    with file.open("rb") as stdin:
        command = ("import", "-", "--map", map_file, "--dir", branch.folder, "--json")
        done = subprocess.run(
            [sys.executable, "-m", "deploy.cli", "branch", *map(str, command)],
            stdin=stdin, capture_output=True, text=True, cwd=tmp_path, check=False,
        )  # fmt: skip
    assert "Traceback" not in done.stderr
    summary = json.loads(done.stdout)
    assert (done.returncode, summary["file"], summary["recorded"], summary["rejected"]) == (1, "stdin", 2, 1)
    assert summary["rejects"] == "stdin.rejects.csv"
    assert (tmp_path / "stdin.rejects.csv").exists()
