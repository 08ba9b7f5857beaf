"""A till of the simulation, whose exports are imported: again and again, grown, cut short, under any name."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from branch_node.imports.import_summary import ImportSummary
from branch_node.imports.importer import ImportRun
from branch_node.imports.mapping.map_parser import parse_map
from branch_node.imports.recorders.local_recorders import LocalImportRecorder
from branch_node.imports.reject_files import Conflicts, Rejects
from branch_node.imports.source_file import FileLayout, SourceFile
from branch_node.model import Command
from shared.events import Event
from shared.runtime.clock import SECOND, format_rfc3339
from tests.simulation.branch import SimulatedBranch
from tests.simulation.rule_broken import RuleBroken

MAP = b"""
source = "till"
time_zone = "UTC"
type = "ORDER_DEDUCTION"
[columns]
id = "id"
item = "item"
quantity = "quantity"
occurred_at = "at"
[formats]
occurred_at = "%Y-%m-%dT%H:%M:%SZ"
"""
COLUMNS = ("id", "item", "quantity", "at")
CHUNK = 5
NAMES = ("export.csv", "export (1).csv", "today.csv")


@dataclass
class Till:
    """Sells at one location; its export is all its sales so far, or the last of them, in any order of the columns."""

    random: Random
    sales: list[dict[str, str]] = field(default_factory=list)
    imported: set[str] = field(default_factory=set)

    @property
    def unread(self) -> set[str]:
        """The ids of the sales that no import has told of."""
        return {sale["id"] for sale in self.sales} - self.imported

    def sell(self, items: Sequence[str], now: int) -> None:
        """Some sales, each with an id of its own."""
        for _ in range(self.random.randint(1, 8)):
            moment = (now - self.random.randint(0, 900) * SECOND) // SECOND * SECOND
            self.sales.append(
                {
                    "id": f"{len(self.sales) + 1}",
                    "item": self.random.choice(items),
                    "quantity": f"{self.random.randint(1, 12) / 4}",
                    "at": format_rfc3339(moment),
                }
            )

    def export(self, folder: Path, *, whole: bool = False) -> tuple[Path, list[str]]:
        """A file of its sales, and their ids."""
        begin = 0 if whole else self.random.choice([0, 0, self.random.randint(0, len(self.sales))])
        end = len(self.sales) if whole else self.random.randint(begin, len(self.sales))
        rows = self.sales[begin:end]
        columns = self.random.sample(COLUMNS, len(COLUMNS))
        path = folder / self.random.choice(NAMES)
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, columns)
            writer.writeheader()
            writer.writerows(rows)
        return path, [row["id"] for row in rows]

    def import_at(self, branch: SimulatedBranch, folder: Path, now: int, *, whole: bool = False) -> ImportSummary:
        """Import an export through the branch's writer. Raises Crashed where the process ends in it."""
        path, ids = self.export(folder, whole=whole)

        def submit(commands: Sequence[Command]) -> Callable[[], list[Any]]:
            outcomes = branch.commit(commands)
            return lambda: list(outcomes)

        found = parse_map(MAP, "till.toml")
        recorder = LocalImportRecorder(branch.writer, branch.store, "till-clerk", submit, chunk=CHUNK)
        with (
            SourceFile(path, found.delimiter, FileLayout.of(found), folder=folder) as file,
            Rejects(folder / "rejects.csv") as rejects,
            Conflicts(folder / "conflicts.csv") as conflicts,
        ):
            summary = ImportRun(file, found, recorder, rejects, conflicts, now=now).run(lambda _phase, _size: None)
        if summary.rejected == summary.conflicting == 0:
            self.imported.update(ids)
        return summary

    def check(self, events: Sequence[Event], where: str) -> None:
        """Rule 8 for a file's rows: each that was imported is in the log once, as it stood in the file; no others."""
        of_till = [event for event in events if event.source == "till"]
        recorded = Counter(event.command_key for event in of_till)
        wanted = {f"import/till//id:{id_}" for id_ in self.imported}
        if missing := wanted - recorded.keys():
            raise RuleBroken(3, f"{where}: imported rows are not in the log: {sorted(missing)}")
        if twice := [key for key, times in recorded.items() if times > 1]:
            raise RuleBroken(8, f"{where}: the rows {twice} are in the log more than once")
        sold = {f"import/till//id:{sale['id']}": sale for sale in self.sales}
        for event in of_till:
            sale = sold.get(event.command_key or "")
            if sale is None:
                raise RuleBroken(8, f"{where}: {event.command_key} is of no sale of the till")
            said = (event.item_id, event.quantity, format_rfc3339(event.occurred_at))
            if said != (sale["item"], int(float(sale["quantity"]) * 1_000), sale["at"]):
                raise RuleBroken(8, f"{where}: {event.command_key} is in the log as {said}")
