"""`larder branch clock show`, `confirm` and `repair`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Final
from zoneinfo import ZoneInfo

import typer
from rich.markup import escape

from branch_node.cli.node_client import Directory, node_at, node_command, zone_of
from shared.runtime.cli.errors import REFUSED
from shared.runtime.cli.output import (
    AsJson,
    local_time,
    number_of,
    print_json,
    print_line,
    print_next,
    print_table,
    short_time,
)
from shared.runtime.cli.service_app import command_group
from shared.runtime.cli.service_client import read_items

clock_app: Final = command_group("The node's clock: show it, confirm it, repair what it dated wrongly.")

TRIES: Final = 3

Yes = Annotated[bool, typer.Option("--yes", help="Do it; without, nothing is changed.")]


@clock_app.command()
def show(directory: Directory = None, as_json: AsJson = False) -> None:
    """Show the node's time beside the computer's, whether it is confirmed, and who settled it last."""
    with node_at(directory) as node:
        found = node.get("/v1/clock")
        zone = zone_of(node)
    if as_json:
        print_json(found)
    else:
        _print_clock(found, zone, directory)


def _print_clock(found: dict[str, Any], zone: ZoneInfo, directory: Path | None) -> None:
    settled = (
        "never" if not found["settled_at"] else f"{local_time(found['settled_at'], zone)} by {found['settled_by']}"
    )
    rows = [
        ("The node's time", local_time(found["now"], zone)),
        ("The computer's clock", local_time(found["computer"], zone)),
        ("Confirmed", "yes" if found["confirmed"] else "NO: what is recorded is flagged"),
        ("Settled last", settled),
    ]
    print_table("", ("", ""), rows)
    if not found["confirmed"]:
        print_line("Wait for head office's time, or confirm the computer's clock once it is right.")
        print_next(node_command(directory, "clock", "confirm"))
    elif found["wrong"]:
        print_line("A wrong clock has dated events; 'larder branch clock repair' lists those that are not repaired.")


@clock_app.command()
def confirm(directory: Directory = None, yes: Yes = False, as_json: AsJson = False) -> None:
    """Confirm the computer's clock: it is the node's time from there on. Set it right before.

    Without --yes it only shows what would be confirmed.
    """
    with node_at(directory) as node:
        found = node.post("/v1/clock/confirm", {}, tries=TRIES) if yes else node.get("/v1/clock")
        zone = zone_of(node)
    if as_json:
        print_json(found)
        return
    _print_clock(found, zone, directory)
    if not yes:
        print_line(f"Is it {escape(local_time(found['computer'], zone))} now? Then run this again with --yes.")


@clock_app.command()
def repair(directory: Directory = None, yes: Yes = False, as_json: AsJson = False) -> None:
    """List what a wrong clock dated, with the right moments; with --yes void it and record it again at these moments.

    It may be cut off and run again: what was repaired is not listed any more. Until the clock is confirmed the list is
    not known to be whole, and nothing is repaired.
    """
    refused: list[dict[str, Any]] = []
    repaired = 0
    with node_at(directory) as node:
        confirmed = node.get("/v1/clock")["confirmed"]
        found = list(read_items(node, "/v1/clock/repairs"))
        zone, more = zone_of(node), yes
        while more:
            answer = node.post("/v1/clock/repairs", {"pass_over": len(refused)}, tries=TRIES)
            repaired += answer["repaired"]
            refused += answer["refused"]
            more = answer["more"]
    if as_json:
        print_json({"confirmed": confirmed, "items": found, "repaired": repaired, "refused": refused})
    else:
        _print_repairs(found, zone, repaired, refused, directory, yes=yes, confirmed=confirmed)
    if refused:
        raise typer.Exit(REFUSED)


def _print_repairs(
    found: list[dict[str, Any]],
    zone: ZoneInfo,
    repaired: int,
    refused: list[dict[str, Any]],
    directory: Path | None,
    *,
    yes: bool,
    confirmed: bool,
) -> None:
    rows = [
        (
            each["sequence"],
            each["type"],
            each["item_id"],
            short_time(each["was"], zone),
            short_time(each["is"], zone),
            "" if each["repairable"] else "stays",
        )
        for each in found
    ]
    columns = ("sequence#", "type", "item", "was", "is", "")
    nothing = "A wrong clock has dated nothing." if confirmed else ""
    print_table(f"Dated by a wrong clock ({zone.key})", columns, rows, empty=nothing)
    for reason in dict.fromkeys(each["why_not"] for each in found if not each["repairable"]):
        print_line(escape(f"'stays': {reason}"))
    if not confirmed:
        print_line("[bold red]The clock is not confirmed[/]: what was dated wrongly is known once it is.")
        print_next(node_command(directory, "clock", "confirm"))
    elif yes and found:
        print_line(f"[green]{number_of(repaired, 'event')} voided and recorded again at the right moment.[/]")
    elif any(each["repairable"] for each in found):
        print_line("Nothing was changed. Run this again with --yes to void them and record them again.")
    for each in refused:
        print_line(f"[bold red]Event {each['sequence']} stays as it is[/]: {escape(each['detail'])}")
