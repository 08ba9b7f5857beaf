"""Every row of the benchmark runs: once, with a thousandth of the work. What it measures is nothing to go by."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.benchmarks.__main__ import EVERY_ROW, GROUPS, wanted_of
from tests.benchmarks.harness import Bench, Group, run_group
from tests.benchmarks.rows import read

pytestmark = pytest.mark.slow
TINY = 1_000


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder in which PostgreSQL may run as another user, as it does when we are root."""
    folder = Path(tempfile.mkdtemp(prefix="larder-bench-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.parametrize("group", GROUPS, ids=[group.name for group in GROUPS])
def test_every_row_of_a_group_runs(group: Group, open_folder: Path) -> None:
    rows = [row for row in EVERY_ROW if row.group == group.name]
    assert rows
    said: list[str] = []
    with Bench(open_folder, divisor=TINY, say=said.append) as bench:
        once = Group(group.name, group.open, rounds=1, warm_up=False)
        outcome = run_group(bench, once, wanted_of(group, rows, yardsticks_only=False), 1)
    assert outcome.failed == {}
    for row in rows:
        reading = read(row, outcome)
        assert reading.failure is None, row.name
        assert reading.ours is not None, row.name
