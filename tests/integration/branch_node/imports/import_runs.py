"""Imports short to write: a till's file, its map, a run, and what is in the log afterwards."""

from __future__ import annotations

import csv
import glob
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from branch_node.imports.import_summary import ImportSummary
from branch_node.imports.importer import ImportRun
from branch_node.imports.mapping.map_parser import parse_map
from branch_node.imports.recorders.import_recorder import CHUNK, ImportRecorder
from branch_node.imports.recorders.local_recorders import DryRunRecorder, LocalImportRecorder
from branch_node.imports.reject_files import Conflicts, Rejects, conflicts_path, rejects_path
from branch_node.imports.rows.line_set import LineSet
from branch_node.imports.source_file import FileLayout, SourceFile
from branch_node.model import Command
from tests.support.branch import Branch

TILL = """\
source = "till-7"
time_zone = "Asia/Beirut"
type = "ORDER_DEDUCTION"

[columns]
item = "code"
quantity = "qty"
occurred_at = "at"

[formats]
occurred_at = "%Y-%m-%d %H:%M"
"""
WITH_IDS = TILL.replace("[columns]", '[columns]\nid = "id"')
CREATING = TILL.replace("[columns]", 'unknown_items = "create"\n[columns]') + '[new_items]\nunit = "pcs"\n'
HEADER = "id,code,qty,at\n"


def a_till_file(path: Path, rows: Sequence[str]) -> Path:
    path.write_text(HEADER + "".join(f"{row}\n" for row in rows), encoding="utf-8")
    return path


def sales(count: int, item: str = "milk", first: int = 1) -> list[str]:
    """Sales of one each, a minute apart, with ids from `first`."""
    return [
        f"{number},{item},1,2025-12-{1 + number // 1440 % 28:02d} {number // 60 % 24:02d}:{number % 60:02d}"
        for number in range(first, first + count)
    ]


def direct(branch: Branch) -> LocalImportRecorder:
    """A recorder that commits in the test's own thread."""

    def submit(commands: Sequence[Command]) -> Callable[[], list[Any]]:
        outcomes = branch.writer.commit(commands)
        return lambda: outcomes

    return LocalImportRecorder(branch.writer, branch.store, "localcli", submit, chunk=CHUNK)


def run(
    recorder: ImportRecorder,
    file: Path,
    map_text: str,
    *,
    dry_run: bool = False,
    rejects: Path | None = None,
    accept: str | None = None,
    now: int = 0,
    at: int | None = None,
) -> ImportSummary:
    found = parse_map(map_text.encode(), "map.toml", at=at)
    path = rejects_path(file, rejects)
    with (
        SourceFile(file, found.delimiter, FileLayout.of(found), folder=file.parent) as opened,
        Rejects(path, found.delimiter or ",", keep=not dry_run) as rejected,
        Conflicts(conflicts_path(path), found.delimiter or ",", keep=not dry_run) as conflicts,
    ):
        accepted = None if accept is None else LineSet.parse(accept)
        made = ImportRun(opened, found, recorder, rejected, conflicts, now=now, dry_run=dry_run, accepted=accepted)
        return made.run(lambda _phase, _size: None)


def import_file(
    branch: Branch, file: Path, map_text: str = TILL, *, rejects: Path | None = None, accept: str | None = None
) -> ImportSummary:
    return run(direct(branch), file, map_text, rejects=rejects, accept=accept)


def dry_run(branch: Branch, file: Path, map_text: str = TILL, *, rejects: Path | None = None) -> ImportSummary:
    with DryRunRecorder(branch.store, branch.clock.now()) as recorder:
        return run(recorder, file, map_text, dry_run=True, rejects=rejects)


def last_written(file: Path, kind: str) -> Path:
    """The rejects or conflicts of the last run that wrote any."""
    found = file.parent.glob(glob.escape(f"{file.name}.{kind}") + "*.csv")
    return max(found, key=lambda path: (len(path.name), path.name))


def rejected(file: Path, delimiter: str = ",") -> list[tuple[int, str]]:
    """Line and reason of each reject of the last run that had any."""
    with last_written(file, "rejects").open(newline="", encoding="utf-8") as text:
        rows = csv.DictReader(text, delimiter=delimiter)
        return [(int(row["reject_line"]), row["reject_reason"]) for row in rows]


def conflicting(file: Path) -> list[tuple[int, int, str]]:
    """Line, sequence of what is recorded, and reason of each row whose id recorded something else, of the last run."""
    with last_written(file, "conflicts").open(newline="", encoding="utf-8") as text:
        return [
            (int(row["conflict_line"]), int(row["recorded_sequence"]), row["conflict"]) for row in csv.DictReader(text)
        ]


def keys(branch: Branch) -> Counter[str]:
    """How often each key of an imported row stands in the log."""
    return Counter(
        event.command_key
        for event in branch.events()
        if event.command_key is not None and event.command_key.startswith("import/")
    )
