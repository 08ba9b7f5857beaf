"""The tables of `larder demo --once` on a terminal of 80 columns."""

from __future__ import annotations

import io

from rich.console import Console

from deploy.demo.checks import Check
from deploy.demo.command import print_day
from deploy.demo.data import ITEMS


def test_the_tables_of_a_day() -> None:
    printed = io.StringIO()
    console = Console(file=printed, force_terminal=True, width=80, color_system=None, highlight=False)
    first = ITEMS[0].item_id
    on_hand = {"BEY-01": {first: 12_500}, "BEY-02": {first: -750}}
    detail = "3 events of BEY-02 are not at head office, which has 41 of 44, and nothing says why they wait"
    checks = [Check("every log is whole", True, ""), Check("everything arrived", False, detail)]
    print_day(on_hand, {"t-2": "REVERSED", "t-1": "COMPLETED"}, checks, console)
    lines = printed.getvalue().splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[1].split()[:3] == ["item", "BEY-01", "BEY-02"]
    [row] = [line.split() for line in lines if line.startswith(f"{first} ")]
    assert row[:4] == [first, "12.5", "-0.75", "11.75"]
    assert [line.split()[0] for line in lines if line.startswith("t-")] == ["t-1", "t-2"]
    assert [line[:4].strip() for line in lines if line.startswith(("✓", "✗"))] == ["✓  e", "✗  e"]
