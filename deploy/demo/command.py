"""The command `larder demo`."""

from __future__ import annotations

import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from types import FrameType
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.text import Text

from deploy.demo.checks import Check, run_checks
from deploy.demo.data import ITEMS
from deploy.demo.day import Day
from deploy.demo.services import DemoFailed, DemoGroup
from deploy.demo.snapshot_reader import read_snapshot
from shared.events import quantity_text
from shared.runtime.cli.errors import REFUSED, ErrorReport, print_error
from shared.runtime.cli.output import print_table
from shared.runtime.settings import command_line

app = typer.Typer(add_completion=False)
SEED = 20_260_101
EXAMPLE = ("--source", "BEY-01", "--destination", "BEY-02", "--line", "tomato=2", "--wait")


@app.callback(invoke_without_command=True)
def demo(
    folder: Annotated[
        Path | None, typer.Option("--dir", help="The folder to keep it in, and to go on from; else a temporary one.")
    ] = None,
    once: Annotated[bool, typer.Option("--once", help="Play one day, check everything, print it and end.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="With --once: the result as JSON.")] = False,
) -> None:
    """Head office, a transfer coordinator and three branches on this machine, with sample data."""
    if as_json and not once:
        raise typer.BadParameter("it is for the result of --once: give both, or none", param_hint="--json")
    console = Console(stderr=as_json, highlight=False)
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        with _demo_folder(folder, once=once) as demo_folder:
            console.print(f"Starting head office, the transfer coordinator and three branches in {demo_folder} …")
            with DemoGroup(demo_folder) as group:
                try:
                    code = _play_day(group, console, as_json=as_json) if once else _keep_running(group, console)
                except (KeyboardInterrupt, DemoFailed):
                    if group.failure is None:
                        raise
                    raise DemoFailed(group.failure) from None
                console.print("Stopping …")
    except DemoFailed as error:
        print_error(ErrorReport(f"The demo failed: {error}", code="demo-failed"), as_json=as_json)
        code = REFUSED
    except KeyboardInterrupt:
        code = REFUSED if once else 0
    raise typer.Exit(code)


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


@contextmanager
def _demo_folder(folder: Path | None, *, once: bool) -> Iterator[Path]:
    if folder is None:
        with tempfile.TemporaryDirectory(prefix="larder-demo-") as made:
            yield Path(made)
        return
    folder = folder.resolve()
    if folder.exists() and any(folder.iterdir()) and (once or not DemoGroup.exists_in(folder)):
        why = "--once plays its day in an empty one" if once else "what is in it is no demo"
        raise DemoFailed(f"{folder} is not empty, and {why}: name another --dir")
    folder.mkdir(parents=True, exist_ok=True)
    yield folder


def _play_day(group: DemoGroup, console: Console, *, as_json: bool) -> int:
    def print_step(line: str) -> None:
        console.print(f"  {line}", markup=False)

    day = Day(group, Random(SEED), print_step)  # noqa: S311 - sample data, the same every time
    try:
        totals = day.play()
        snapshot = read_snapshot(group, day, totals)
    finally:
        day.close()
    checks = run_checks(snapshot)
    on_hand = {name: copy.on_hand for name, copy in snapshot.head_office.items()}
    print_day(on_hand, snapshot.transfers, checks, console)
    if as_json:
        stock = {
            name: {item: msgspec.Raw(quantity_text(value).encode()) for item, value in sorted(copy.on_hand.items())}
            for name, copy in snapshot.head_office.items()
        }
        result = {
            "stock": stock,
            "transfers": snapshot.transfers,
            "checks": [{"name": each.name, "holds": each.holds, "detail": each.detail} for each in checks],
        }
        typer.echo(msgspec.json.encode(result).decode())
    return 0 if all(check.holds for check in checks) else REFUSED


def _keep_running(group: DemoGroup, console: Console) -> int:
    if group.new:
        day = Day(group, Random(SEED), lambda line: console.print(f"  {line}", markup=False))  # noqa: S311
        try:
            day.open()
        finally:
            day.close()
    _print_addresses(group, console)
    first = next(iter(group.branches.values()))
    console.print(
        "\nTry this:\n"
        f"  · open {first.url} in a browser, give the key above, and record a deduction\n"
        f"  · open {group.head_office.url} the same way: the stock of the group, with the freshness of every figure\n"
        f"  · {command_line('branch', 'stock', '--dir', first.folder)}\n"
        f"  · {command_line('transfer', 'create', '--dir', group.coordinator.folder, *EXAMPLE)}",
        markup=False,
        soft_wrap=True,
    )
    if not sys.stdin.isatty():
        console.print("\nCtrl-C stops everything")
        while True:
            signal.pause()
    console.print("  · cut a branch off, record there, and join it again:", markup=False)
    commands: dict[str, Callable[[str], None]] = {
        "cut": lambda name: group.branches[name].link.cut(),
        "join": lambda name: group.branches[name].link.join(),
    }
    console.print(f"    type: cut {first.name}   or: join {first.name}      Ctrl-C stops everything", markup=False)
    for line in sys.stdin:
        verb, _, name = line.strip().partition(" ")
        if verb in commands and name in group.branches:
            commands[verb](name)
            console.print(f"  {name} is {'joined' if group.branches[name].link.up else 'cut off'}", markup=False)
        elif line.strip():
            console.print(f"  'cut NAME' or 'join NAME', with NAME one of {', '.join(group.branches)}", markup=False)
    return 0


def _print_addresses(group: DemoGroup, console: Console) -> None:
    """One line a service, unwrapped: people copy the keys."""
    rows = [("head office", group.head_office, group.admin_key), ("transfer coordinator", group.coordinator, "")]
    rows += [(f"{each.name}, {each.location.name}", each, each.key) for each in group.branches.values()]
    console.print("\nRunning:")
    for name, service, key in rows:
        line = f"  {name:<26} {service.url:<23} {key or 'takes the keys of head office'}"
        console.print(line, markup=False, soft_wrap=True)


def print_day(
    on_hand: dict[str, dict[str, int]], transfers: dict[str, str], checks: list[Check], console: Console
) -> None:
    """The tables of a day that was played: the stock of the group, its transfers, and the checks."""
    rows: list[tuple[object, ...]] = []
    for item in ITEMS:
        figures = [copy.get(item.item_id, 0) for copy in on_hand.values()]
        shown = [Text(quantity_text(each), style="red" if each < 0 else "") for each in figures]
        rows.append((item.item_id, *shown, quantity_text(sum(figures)), item.unit))
    columns = ("item", *(f"{location}#" for location in on_hand), "group#", "unit")
    print_table("Stock of the group, at head office", columns, rows, console=console)
    print_table("Transfers", ("transfer", "ended as"), sorted(transfers.items()), console=console)
    marks = {True: Text("✓", style="green"), False: Text("✗", style="bold red")}
    held = [(marks[check.holds], check.name, check.detail) for check in checks]
    print_table("Checks", ("", "check~", "what does not hold~"), held, console=console)
