"""The table as people read it, and the same as JSON."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Table

from tests.benchmarks.rows import SLOWEST, Reading


def print_table(console: Console, readings: list[Reading]) -> None:
    table = Table(title="Speed, each row beside its yardstick (medians)", show_lines=False)
    for name, justify in (
        ("row", "left"), ("work", "left"), ("ours", "right"), ("yardstick", "left"), ("its figure", "right"),
        ("ratio", "right"), ("rounds", "right"), ("goal", "right"), ("", "left"),
    ):  # fmt: skip
        table.add_column(name, justify=justify, overflow="fold")  # type: ignore[arg-type]
    for reading in readings:
        row = reading.row
        goal = "" if row.goal is None else f"{'≥' if row.sense == 'at least' else '≤'} {row.goal:g}"
        if reading.ratio is None:
            table.add_row(row.name, row.title, "–", row.against, "–", "–", "–", goal, "[yellow]not measured[/]")
            continue
        absolute = reading.yardstick is None
        table.add_row(
            row.name,
            row.title,
            _figure(reading.ours, row.per),
            row.against,
            "" if absolute else _figure(reading.yardstick, row.per),
            "" if absolute else f"{reading.ratio:.2f}",
            f"{reading.low:.2f} … {reading.high:.2f}",
            goal,
            _VERDICT[reading.met],
        )
    console.print(table)
    for reading in readings:
        if reading.failure is not None:
            console.print(f"{reading.row.name}: {reading.failure}", style="yellow", markup=False, highlight=False)


_VERDICT = {True: "[green]met[/]", False: "[red]missed[/]", None: ""}


def print_yardsticks(console: Console, shares: dict[str, tuple[float, float]]) -> None:
    table = Table(title="The yardsticks, against their usual ratio to one another")
    for name, justify in (("yardstick", "left"), ("a second", "right"), ("of usual", "right"), ("", "left")):
        table.add_column(name, justify=justify)  # type: ignore[arg-type]
    for name, (rate, share) in shares.items():
        verdict = "[green]fair[/]" if share >= SLOWEST else "[red]too slow: a win over it says nothing[/]"
        table.add_row(name, f"{rate:,.0f}", f"{share:.2f}", verdict)
    console.print(table)


def _figure(value: float | None, per: str) -> str:
    if value is None:
        return "–"
    if per == "s":
        return f"{value * 1_000:,.2f} ms"
    return f"{value:,.0f} {per}" if value >= 100 else f"{value:,.1f} {per}"


def as_json(
    machine: dict[str, object], readings: list[Reading], shares: dict[str, tuple[float, float]], *, failed: list[str]
) -> dict[str, Any]:
    """Everything the tables show, for a machine to read."""
    return {
        "machine": machine,
        "rows": [
            {
                "name": reading.row.name,
                "work": reading.row.title,
                "unit": reading.row.per,
                "ours": reading.ours,
                "yardstick": reading.row.against,
                "yardstick_figure": reading.yardstick,
                "ratio": None if reading.yardstick is None else reading.ratio,
                "ratio_low": reading.low,
                "ratio_high": reading.high,
                "rounds": reading.rounds,
                "goal": reading.row.goal,
                "sense": reading.row.sense,
                "met": reading.met,
                "failure": reading.failure,
            }
            for reading in readings
        ],
        "yardsticks": {name: {"rate": rate, "share_of_usual": share} for name, (rate, share) in shares.items()},
        "failed": failed,
    }
