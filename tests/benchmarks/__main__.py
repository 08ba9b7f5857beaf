"""`python -m tests.benchmarks`: the speed table. Exit code 1 where a yardstick ran too slow to be a fair peer."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console

from tests.benchmarks.group_bodies import BODIES_GROUP
from tests.benchmarks.group_hot import HOT_GROUP
from tests.benchmarks.group_http import HTTP_GROUP
from tests.benchmarks.group_imports import IMPORTS_GROUP
from tests.benchmarks.group_library import LIBRARY_GROUP
from tests.benchmarks.group_messages import MESSAGES_GROUP
from tests.benchmarks.group_purchasing import PURCHASING_GROUP
from tests.benchmarks.group_ship import BATCHES_GROUP, SHIP_GROUP
from tests.benchmarks.group_transfers import TRANSFERS_GROUP
from tests.benchmarks.harness import Bench, Group, Measured, Outcome, run_group
from tests.benchmarks.machine import describe, fdatasync_seconds, noise
from tests.benchmarks.report import as_json, print_table, print_yardsticks
from tests.benchmarks.rows import BODIES_ROWS, MEMORY_ROWS, ROWS, SLOWEST, USUAL, Row, read, slow_yardsticks

NOISY = 1.25
GROUPS: tuple[Group, ...] = (
    HTTP_GROUP,
    MESSAGES_GROUP,
    LIBRARY_GROUP,
    IMPORTS_GROUP,
    HOT_GROUP,
    SHIP_GROUP,
    BATCHES_GROUP,
    TRANSFERS_GROUP,
    PURCHASING_GROUP,
    BODIES_GROUP,
)
EVERY_ROW = (*ROWS, *BODIES_ROWS, *MEMORY_ROWS)


def main() -> int:
    options = _options()
    rows = [row for row in EVERY_ROW if _chosen(row, options.only)]
    if not rows:
        print(f"no row is named like {', '.join(options.only)}; --list names them", file=sys.stderr)
        return 2
    if options.list:
        for row in rows:
            print(f"{row.name:<22} {row.title}")
        return 0
    console = Console(stderr=options.json == "-", width=max(160, Console().width))
    folder = Path(tempfile.mkdtemp(prefix="larder-bench-", dir=options.dir))
    folder.chmod(0o755)  # PostgreSQL runs as another user when we are root
    try:
        return _run(console, folder, rows, options)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _run(console: Console, folder: Path, rows: list[Row], options: argparse.Namespace) -> int:
    machine: dict[str, Any] = describe(folder)
    console.print(" · ".join(f"{name} {value}" for name, value in machine.items()), highlight=False)
    begin, sync = time.monotonic(), fdatasync_seconds(folder)
    outcomes, spins = _measure(console, folder, rows, options)
    machine["seconds"] = round(time.monotonic() - begin)
    machine["quick"] = options.quick
    machine["noise"] = round(noise(spins), 2)
    readings = [read(_goal_here(row), outcomes.get(row.group, Outcome())) for row in rows]
    shares = slow_yardsticks(outcomes, min(sync, fdatasync_seconds(folder)))
    too_slow = [name for name, (_, share) in shares.items() if share < SLOWEST]
    if not options.yardsticks:
        print_table(console, readings)
    if shares:
        print_yardsticks(console, shares)
    if options.json:
        text = json.dumps(as_json(machine, readings, shares, failed=too_slow), indent=2)
        if options.json == "-":
            print(text)
        else:
            Path(options.json).write_text(text + "\n")
    if machine["noise"] > NOISY:
        console.print(
            f"Others used the machine: it was {machine['noise']} times as slow as at its best.", style="yellow"
        )
    verdicts = [reading.met for reading in readings if reading.met is not None]
    if not options.yardsticks:
        console.print(f"{sum(verdicts)} of {len(verdicts)} goals met, in {machine['seconds']} s", highlight=False)
    for name in too_slow:
        console.print(f"{name}: at less than half of its usual ratio to the others", style="red", highlight=False)
    return 1 if too_slow else 0


def _measure(
    console: Console, folder: Path, rows: list[Row], options: argparse.Namespace
) -> tuple[dict[str, Outcome], list[float]]:
    """Every group that the rows need and the memory that the services took over all of them; how quiet it was."""

    def say(line: str) -> None:
        console.print(line, markup=False, highlight=False)

    outcomes: dict[str, Outcome] = {}
    with Bench(folder, divisor=10 if options.quick else 1, say=say) as bench:
        for group in GROUPS:
            wanted = wanted_of(group, rows, yardsticks_only=options.yardsticks)
            if wanted:
                console.print(f"{group.name}: {', '.join(sorted(wanted))}", style="bold", highlight=False)
                rounds = options.rounds or (min(group.rounds, 3) if options.quick else group.rounds)
                outcomes[group.name] = run_group(bench, group, wanted, rounds)
        outcomes["memory"] = Outcome(
            {service: Measured([{"megabytes": peak / 1e6}]) for service, peak in bench.memory.items()}
        )
    return outcomes, bench.spins


def wanted_of(group: Group, rows: list[Row], *, yardsticks_only: bool) -> set[str]:
    """The contenders that the rows need of a group."""
    usual = {contender for name, contender in (each.contender for each in USUAL.values()) if name == group.name}
    sides = [side for row in rows if row.group == group.name for side in (row.ours, row.yardstick) if side is not None]
    wanted = {contender for contender, _ in sides}
    return wanted & usual if yardsticks_only else wanted


def _goal_here(row: Row) -> Row:
    """Two branches at once gain where there are cores for both; on two there are none to gain."""
    return replace(row, goal=1.4) if row.name == "ship-two" and (os.cpu_count() or 1) > 2 else row


def _chosen(row: Row, only: list[str]) -> bool:
    return not only or any(each in row.name or each == row.group for each in only)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument(
        "--only",
        action="append",
        default=[],
        metavar="NAME",
        help="rows whose name contains it, or a group; may be repeated",
    )
    parser.add_argument("--quick", action="store_true", help="a tenth of the work, three rounds: for trying it out")
    parser.add_argument("--rounds", type=int, help="how often each contender is measured (default 3 or 5)")
    parser.add_argument("--yardsticks", action="store_true", help="only the yardsticks")
    parser.add_argument("--json", metavar="FILE", help="write the figures there too; - for standard output")
    parser.add_argument("--list", action="store_true", help="name the rows and end")
    parser.add_argument("--dir", default="/var/tmp", help="where the databases go: on the disk that is to be measured")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
