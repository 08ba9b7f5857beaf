"""A million rows of a till imported by the command that people use: alone, into a serving node, and a second time."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any

from tests.benchmarks.harness import Bench, Contender, Figures, Group
from tests.benchmarks.ours_branch import MAP
from tests.benchmarks.sample import LOCATION, write_csv
from tests.benchmarks.services import make_branch, serve
from tests.support.processes import clean_environment

ROWS = 1_000_000


@contextmanager
def contenders(bench: Bench) -> Iterator[Mapping[str, Contender]]:
    rows = bench.scale(ROWS)

    @cache
    def till() -> Path:
        folder = bench.new_folder("till")
        write_csv(folder / "till.csv", rows)
        return folder

    def plain() -> Figures:
        path = str(bench.new_folder("plain") / "plain.db")
        return bench.child("yard_sqlite:append", path=path, events=rows, group=1_000)

    def direct() -> Figures:
        node, _, _ = make_branch(bench, LOCATION)
        figures = _import(till() / "till.csv", node, rows, recorded=rows)
        # The same rows under another name in another order, so that each is found by its id alone.
        renamed = bench.new_folder("again") / "renamed.csv"
        with (till() / "till.csv").open(encoding="utf-8") as file, renamed.open("w", encoding="utf-8") as other:
            first, second = islice(file, 1, 3)
            file.seek(0)
            other.writelines([next(file), second, first])
            other.writelines(islice(file, 2, None))
        again = _import(renamed, node, rows, recorded=0)
        return {**figures, "again": again["rate"], "megabytes": max(figures["megabytes"], again["megabytes"])}

    def served() -> Figures:
        node, key, _ = make_branch(bench, LOCATION)
        with serve(bench, "import", node, key, "branch", "serve"):
            return _import(till() / "till.csv", node, rows, recorded=rows)

    yield {"plain": plain, "direct": direct, "served": served}


def _import(file: Path, node: Path, rows: int, *, recorded: int) -> Figures:
    """Run the import command to its end: rows a second with its start, and its memory at most, in MB.

    What Linux says of a process includes the memory of this one when it began it, which is small.
    """
    command = [sys.executable, "-m", "deploy.cli", "branch", "import", str(file), "--map"]
    command += [str(_map_beside(file)), "--dir", str(node), "--json"]
    begin = time.perf_counter()
    process = subprocess.Popen(command, env=clean_environment(None), stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    printed = process.stdout.read()
    _, status, used = os.wait4(process.pid, 0)
    elapsed = time.perf_counter() - begin
    process.returncode = os.waitstatus_to_exitcode(status)
    summary: dict[str, Any] = json.loads(printed)
    if (summary["rows"], summary["recorded"], summary["rejected"]) != (rows, recorded, 0):
        raise RuntimeError(f"the import came to {printed}")
    return {"rate": rows / elapsed, "megabytes": used.ru_maxrss / 1_024}


def _map_beside(file: Path) -> Path:
    path = file.with_name("till.toml")
    path.write_text(MAP, encoding="utf-8")
    return path


IMPORTS_GROUP = Group("imports", contenders, rounds=2, warm_up=False)
