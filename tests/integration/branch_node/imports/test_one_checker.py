"""What a row may hold is the same on all ways: direct, through a serving node, and in a dry run."""

from __future__ import annotations

import csv
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from branch_node.imports.import_summary import ImportSummary
from shared.runtime.cli.service_client import InProcessTransport
from tests.integration.branch_node.imports.import_runs import dry_run, import_file, last_written
from tests.integration.branch_node.imports.test_http_recorder import import_over, log_of
from tests.support.branch import a_branch
from tests.support.branch_api import a_caller

MAPPED = """\
source = "till-7"
time_zone = "Asia/Beirut"
type = "WASTE_RECORDED"
unknown_items = "create"

[columns]
id = "id"
item = "item"
quantity = "quantity"
occurred_at = "at"
actor = "actor"
cost = "cost"
expires_on = "expires"
note = "note"
lot = "lot"
area = "area"
reason = "reason"
reference = "reference"

[formats]
occurred_at = "%Y-%m-%d %H:%M"

[constants]
currency = "USD"

[new_items]
unit = "pcs"
name_column = "name"
"""
GOOD = {
    "id": "1", "item": "tea", "quantity": "1", "at": "2025-12-31 12:00", "actor": "c9", "cost": "1.5",
    "expires": "2026-02-01", "note": "n", "lot": "l", "area": "bar", "reason": "spoiled",
    "reference": "r", "name": "Tea",
}  # fmt: skip
HOSTILE = [
    "", ".", "..", "-0", "0", "-1", "x" * 31, "x" * 32, "x" * 64, "x" * 65, "x" * 201, "x" * 1_001, "1999-12-31",
    "2000-01-01", "20260131", "2026-02-30", "1e3", "1.0000001", "999999999999999.999999", "9" * 16, "a\nb", "a\tb",
    "a\u202eb", "a\u200bb", "e\u0301", "a\x1bb", "=1+1", "'=1", "2025-12-31 25:00", "1999-12-31 12:00",
    "2300-01-01 12:00", "/", "a/b", "%2e", "NaN", "١",
]  # fmt: skip
rows = st.lists(
    st.tuples(st.sampled_from([name for name in GOOD if name != "id"]), st.sampled_from(HOSTILE)),
    min_size=1,
    max_size=12,
)


def a_file(path: Path, changes: list[tuple[str, str]]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(GOOD))
        writer.writeheader()
        for number, (column, value) in enumerate(changes, start=1):
            writer.writerow({**GOOD, "id": str(number), "item": f"tea-{number}", column: value})
    return path


def rejected_lines(file: Path, summary: ImportSummary) -> list[str]:
    if not summary.rejected:
        return []
    with last_written(file, "rejects").open(newline="", encoding="utf-8") as text:
        return [row["reject_line"] for row in csv.DictReader(text)]


@settings(max_examples=25, deadline=None)
@given(rows)
@example([(column, value) for column in GOOD if column != "id" for value in HOSTILE])
def test_direct_served_and_foreseen_alike(changes: list[tuple[str, str]]) -> None:
    with TemporaryDirectory() as name:
        folder = Path(name)
        direct, served = (a_file(folder / f"{way}.csv", changes) for way in ("direct", "served"))
        with a_branch(folder / "one") as branch:
            foreseen = dry_run(branch, direct, MAPPED)
            one = import_file(branch, direct, MAPPED)
            events = branch.events()
        with a_caller(folder / "two") as caller:
            other = import_over(caller, served, MAPPED, InProcessTransport(caller.app))
            sent = log_of(caller)
        outcomes = [(each.rows, each.recorded, each.rejected, each.by_type) for each in (foreseen, one, other)]
        assert outcomes[0] == outcomes[1] == outcomes[2]
        assert rejected_lines(direct, one) == rejected_lines(served, other)

        def content(log: list[Any]) -> list[tuple[object, ...]]:
            return [
                (e.type, e.item_id, e.quantity, e.occurred_at, e.cost, e.lot, e.area, e.note, e.reason, e.expires_on)
                for e in log
            ]

        assert content(events) == content(sent)
