"""`larder branch import` as a process: killed at any moment, with and without a node that serves, and run again."""

from __future__ import annotations

import json
import random
import re
import signal
import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from tests.integration.branch_node.imports.import_runs import CREATING, a_till_file, rejected, sales
from tests.support.forked import larder, run_larder
from tests.support.processes import RunningProcess
from tests.support.waiting import wait_until

ROWS = 60_000  # some chunks of the command more than the import is killed
BAD = {5, 7_777, ROWS}
"""Lines, counted from 1 without the header, whose quantity is no number."""


@pytest.fixture
def node(tmp_path: Path) -> Path:
    folder = tmp_path / "node"
    done = run_larder("branch", "init", "--dir", folder, "--location", "BEY-01", "--timezone", "Asia/Beirut")
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    rows = sales(ROWS)
    for line in BAD:
        rows[line - 1] = rows[line - 1].replace(",1,", ",one,")
    map_file = tmp_path / "till.toml"
    map_file.write_text(CREATING)
    return a_till_file(tmp_path / "sales.csv", rows), map_file


def count(folder: Path) -> int:
    """How many sales are in the log, from beside whoever writes it."""
    with closing(sqlite3.connect(f"file:{folder / 'branch.db'}?mode=ro", uri=True, timeout=10)) as connection:
        (found,) = connection.execute("SELECT count(*) FROM event WHERE type = 'ORDER_DEDUCTION'").fetchone()
    return int(found)


def keys(folder: Path) -> Counter[str]:
    with closing(sqlite3.connect(f"file:{folder / 'branch.db'}?mode=ro", uri=True, timeout=10)) as connection:
        rows = connection.execute("SELECT command_key FROM event WHERE type = 'ORDER_DEDUCTION'")
        return Counter(key for (key,) in rows)


def expected_keys() -> Counter[str]:
    return Counter(f"#{line + 1}" for line in range(1, ROWS + 1) if line not in BAD)


def importing(node: Path, files: tuple[Path, Path], output: Path) -> RunningProcess:
    file, map_file = files
    return larder("branch", "import", file, "--map", map_file, "--dir", node, "--json", output=output)


def kill_after(process: RunningProcess, folder: Path, enough: int) -> bool:
    """SIGKILL once the log holds `enough` sales; whether the process was still at work."""
    wait_until(
        lambda: process.returncode is not None or count(folder) >= enough,
        60,
        what=f"{enough} sales in {folder}, {process.text()}",
        interval=0.005,
    )
    at_work = process.returncode is None
    process.kill()
    return at_work


def finish(node: Path, files: tuple[Path, Path]) -> dict[str, object]:
    """Run it to its end; the summary, which must add up with what is in the log."""
    file, map_file = files
    done = run_larder("branch", "import", file, "--map", map_file, "--dir", node, "--json", timeout=120)
    assert done.returncode == 1, done.stderr  # there are rejects
    summary: dict[str, object] = json.loads(done.stdout)
    assert (summary["rows"], summary["rejected"]) == (ROWS, len(BAD))
    assert summary["by_type"] == {"ORDER_DEDUCTION": {"events": ROWS - len(BAD), "quantity": ROWS - len(BAD)}}
    assert Counter({key.rpartition(":")[2]: times for key, times in keys(node).items()}) == expected_keys()
    assert [line for line, _ in rejected(file)] == sorted(line + 1 for line in BAD)
    assert not list(file.parent.glob("*.partial"))
    return summary


def verified(node: Path) -> None:
    done = run_larder("branch", "verify", "--dir", node, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr


@contextmanager
def serving(node: Path, output: Path) -> Iterator[RunningProcess]:
    with larder("branch", "serve", "--dir", node, "--port", "0", output=output) as process:
        process.wait_for(r"http://127\.0\.0\.1:\d+")
        yield process
        if process.returncode is None:
            process.stop()


def test_killed_again_and_again_each_row_is_recorded_once(node: Path, files: tuple[Path, Path], tmp_path: Path) -> None:
    chance = random.Random(7)
    kills = 0
    for run in range(5):
        with importing(node, files, tmp_path / f"run{run}.txt") as process:
            kills += kill_after(process, node, count(node) + chance.randrange(1, 2_300))
    assert kills == 5
    assert 0 < count(node) < ROWS
    summary = finish(node, files)
    assert 0 not in (summary["recorded"], summary["already_recorded"])
    file, map_file = files
    done = run_larder("branch", "import", file, "--map", map_file, "--dir", node, "--json", timeout=120)
    again = json.loads(done.stdout)
    assert (done.returncode, again["already_imported"], again["recorded"]) == (0, summary["import_id"], 0)
    assert again["by_type"] == summary["by_type"]
    verified(node)


def test_through_a_node_that_serves_and_dies(node: Path, files: tuple[Path, Path], tmp_path: Path) -> None:
    # Some rows by this process itself, so that both ways must agree on what a row's content is.
    with importing(node, files, tmp_path / "direct.txt") as process:
        assert kill_after(process, node, 1_000)
    directly = count(node)
    with serving(node, tmp_path / "node1.txt"):
        with importing(node, files, tmp_path / "http1.txt") as process:
            assert kill_after(process, node, directly + 2_000)
        dry = run_larder(
            *("branch", "import", files[0], "--map", files[1], "--dir", node, "--json", "--dry-run"),
            *("--rejects", tmp_path / "foreseen.csv"),
        )
        assert json.loads(dry.stdout)["recorded"] == ROWS - len(BAD) - count(node)
    before = count(node)
    with serving(node, tmp_path / "node2.txt") as served, importing(node, files, tmp_path / "http2.txt") as process:
        assert kill_after(served, node, before + 2_000)
        assert process.wait() == 1
        assert "No answer" in process.text()
    assert before < count(node) < ROWS
    with serving(node, tmp_path / "node3.txt"):
        assert finish(node, files)["recorded"]
    verified(node)


def test_what_the_command_says(node: Path, tmp_path: Path) -> None:
    map_file = tmp_path / "till.toml"
    map_file.write_text(CREATING)
    good = a_till_file(tmp_path / "good.csv", sales(3))

    def run(*more: str | Path) -> tuple[int, str]:
        done = run_larder("branch", "import", good, "--map", map_file, "--dir", node, *more)
        assert "Traceback" not in done.stderr
        # The frame of a message about wrong usage breaks it where the path of this test is long.
        return done.returncode, " ".join((done.stdout + done.stderr).replace("│", " ").split())

    code, said = run("--dry-run")
    assert code == 0
    assert "would be recorded" in said
    assert count(node) == 0
    code, said = run()
    assert code == 0
    assert "1 item was defined" in said
    code, said = run("--rejects", good)
    assert code == 1
    assert "is the file to import" in said
    code, said = run()
    assert (code, "was imported already, as" in said) == (0, True)
    map_file.write_text(CREATING)
    a_till_file(good, sales(4, first=2))
    code, said = run()
    assert code == 1
    assert "import-file-differs" in said
    map_file.write_text(CREATING.replace('"qty"', '"amount"'))
    code, said = run()
    assert code == 2
    assert "no column 'amount'" in said
    map_file.write_text(CREATING.replace("source", "sauce"))
    code, said = run()
    assert code == 2
    assert "line 1" in said
    nowhere = run_larder("branch", "import", good, "--map", map_file, "--dir", tmp_path / "nowhere")
    assert nowhere.returncode == 2


def test_interrupted_it_says_how_far_it_is_and_what_to_type(
    node: Path, files: tuple[Path, Path], tmp_path: Path
) -> None:
    file, map_file = files
    with larder("branch", "import", file, "--map", map_file, "--dir", node, output=tmp_path / "run.txt") as process:
        wait_until(lambda: count(node) >= 1, 60, interval=0.005, what=process.text())
        process.signal(signal.SIGINT)
        assert process.wait(60) == 130
    said = process.text()
    [row] = re.findall(r"Interrupted in row ([0-9]+) of", said)
    [recorded] = re.findall(r"; ([0-9]+) rows? of it", said)
    assert 0 <= int(recorded) <= int(row) <= ROWS
    assert int(recorded) <= count(node)
    [again] = re.findall(r"Go on with the same command: larder (.*)", said)
    assert again == f"branch import {file} --map {map_file} --dir {node}"
    known = count(node)
    assert finish(node, files)["already_recorded"] == known


def test_interrupted_with_json_it_prints_a_problem_document(
    node: Path, files: tuple[Path, Path], tmp_path: Path
) -> None:
    with importing(node, files, tmp_path / "run.txt") as process:
        wait_until(lambda: count(node) >= 1, 60, interval=0.005, what=process.text())
        process.signal(signal.SIGINT)
        assert process.wait(60) == 130
    document = json.loads(process.text())
    assert document["code"] == "interrupted"
    assert 0 <= document["rows"] <= ROWS
    assert document["hint"].startswith("Go on with the same command: larder branch import ")
