"""`larder branch stock`, `log`, `explain` and `status`: reads of the node."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Final
from urllib.parse import quote
from zoneinfo import ZoneInfo

import typer
from rich.markup import escape
from rich.text import Text

from branch_node.cli.event_tables import print_explanation, print_log
from branch_node.cli.item_completion import complete_item
from branch_node.cli.node_client import Directory, node_at, zone_of
from branch_node.database.queries import BY_SEQUENCE
from shared.events import EventType
from shared.runtime.cli.arguments import check_period, moment_or_date, one_of
from shared.runtime.cli.output import (
    AsJson,
    flags,
    local_time,
    number,
    number_of,
    print_json,
    print_line,
    print_table,
    signed,
)
from shared.runtime.cli.service_client import read_items

EXPLAINED: Final = 30
"""How many lines of an explanation are printed without --all."""


_AS_OF = typer.Option(
    "--as-of",
    callback=moment_or_date,
    help="As things stood then: RFC 3339, or a date for the end of that business day.",
)
_FROM = typer.Option("--from", callback=moment_or_date, help="From then on; a date is the start of that business day.")
_TO = typer.Option("--to", callback=moment_or_date, help="Before then; a date is the start of that business day.")


def stock(
    item: Annotated[
        str | None, typer.Argument(metavar="ITEM", help="One item; all if not given.", autocompletion=complete_item)
    ] = None,
    *,
    directory: Directory = None,
    as_of: Annotated[str | None, _AS_OF] = None,
    begin: Annotated[str | None, _FROM] = None,
    end: Annotated[str | None, _TO] = None,
    low: Annotated[bool, typer.Option("--low", help="Only what is at or below its reorder level.")] = False,
    as_json: AsJson = False,
) -> None:
    """What is on hand, reserved and available."""
    if item is None and any(each is not None for each in (as_of, begin, end)):
        raise typer.BadParameter("--as-of, --from and --to are for one item: larder branch stock ITEM --as-of …")
    moments = _moments(as_of, begin, end)
    with node_at(directory) as node:
        if item is not None:
            found = [node.get(f"/v1/stock/{quote(item, safe='')}", **moments)]
        else:
            found = list(read_items(node, "/v1/stock/low" if low else "/v1/stock"))
        zone = zone_of(node)
    if as_json:
        print_json(found[0] if item is not None else {"items": found})
        return
    rows = [
        (
            each["item_id"],
            each.get("name"),
            each["period"]["opening"] if "period" in each else None,
            signed(each["period"]["change"]) if "period" in each else None,
            each["on_hand"],
            each["reserved"],
            each["available"],
            each.get("unit"),
            each.get("reorder_point"),
            each.get("reorder_quantity") if low else None,
            flags(each.get("flags")),
        )
        for each in found
    ]
    title = f"As of {local_time(found[0]['as_of'], zone)}" if found else ""
    if begin is not None or end is not None:
        title = _period_text(begin, end, zone)
    columns = (
        "item",
        "name~",
        "before#",
        "change+",
        "on hand#",
        "reserved#",
        "available#",
        "unit",
        "reorder at#",
        "order#",
        "flags~",
    )
    print_table(title, columns, rows, empty="Nothing was recorded yet." if not low else "Nothing is low.")


def log(
    *,
    directory: Directory = None,
    item: Annotated[str | None, typer.Option(help="Only this item's events.", autocompletion=complete_item)] = None,
    event_type: Annotated[str | None, typer.Option("--type", help="Only this type.")] = None,
    begin: Annotated[str | None, _FROM] = None,
    end: Annotated[str | None, _TO] = None,
    oldest: Annotated[bool, typer.Option("--oldest", help="From the beginning, in the order of the log.")] = False,
    after: Annotated[
        int | None, typer.Option(min=0, help="Only events after this sequence, in the order of the log.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="At most so many.")] = 50,
    as_json: AsJson = False,
) -> None:
    """The events of this location, the newest first; with --oldest or --after in the order they were recorded."""
    kind = None if event_type is None else one_of(event_type, list(EventType), "--type")
    reached = None if after is None else BY_SEQUENCE.write(after)
    newest = None if oldest or after is not None else True
    wanted = {"item_id": item, "type": kind, **_moments(None, begin, end)}
    with node_at(directory) as node:
        pages = read_items(node, "/v1/events", most=limit, after=reached, newest=newest, **wanted)
        found = list(pages)
        if item is not None and not found:
            node.get(f"/v1/stock/{quote(item, safe='')}")  # an item that is not known is refused, with the nearest
        status = node.get("/v1/status")
    if as_json:
        print_json({"items": found})
        return
    print_log(status["location_id"], found, ZoneInfo(status["timezone"]))


def explain(
    item: Annotated[str, typer.Argument(metavar="ITEM", help="The item's code.", autocompletion=complete_item)],
    *,
    directory: Directory = None,
    as_of: Annotated[str | None, _AS_OF] = None,
    begin: Annotated[str | None, _FROM] = None,
    end: Annotated[str | None, _TO] = None,
    every: Annotated[bool, typer.Option("--all", help=f"Every line, not the last {EXPLAINED} alone.")] = False,
    as_json: AsJson = False,
) -> None:
    """Why a figure is what it is: the count it starts from, each event after it, and what does not count and why."""
    moments = _moments(as_of, begin, end)
    with node_at(directory) as node:
        answer = node.get(f"/v1/stock/{quote(item, safe='')}/explain", **moments)
        zone = zone_of(node)
    if as_json:
        print_json(answer)
        return
    now = answer["stock"]
    unit = now.get("unit") or ""
    print_line(
        f"{escape(item)} as of {local_time(now['as_of'], zone)}: on hand [bold]{number(now['on_hand'])}[/] "
        f"{escape(unit)}, reserved {number(now['reserved'])}, available {number(now['available'])}"
    )
    if answer.get("opening") is not None:
        print_line(f"{_period_text(begin, end, zone)}: before it {number(answer['opening'])} {escape(unit)}")
    print_explanation(answer, zone, None if every else EXPLAINED)


def _period_text(begin: str | None, end: str | None, zone: ZoneInfo) -> str:
    """A period as it was typed; moments in the location's zone."""

    def said(text: str) -> str:
        return text if len(text) == len("2026-01-31") else local_time(text, zone)

    parts = [f"from {said(begin)}" if begin else "", f"to {said(end)}" if end else ""]
    return " ".join(["Over the period", *(part for part in parts if part)])


def _moments(as_of: str | None, begin: str | None, end: str | None) -> dict[str, Any]:
    check_period(begin, end, as_of)
    return {"as_of": as_of, "from": begin, "to": end}


def status(directory: Directory = None, as_json: AsJson = False) -> None:
    """Where the log ends, what waits to be shipped, and how shipping stands."""
    with node_at(directory) as node:
        answer = node.get("/v1/status")
    if as_json:
        print_json(answer)
        return
    zone = ZoneInfo(answer["timezone"])
    head, shipping, unshipped = answer["head"], answer["shipping"], answer["unshipped"]
    well = shipping["state"] in {"OK", "NO_HEAD_OFFICE", "STOPPED"}
    state = Text(_STATES.get(shipping["state"], shipping["state"]), style="green" if well else "bold red")
    doubt = Text("not confirmed: the computer's clock jumped; see 'larder branch clock show'", style="bold red")
    clock = "" if answer["clock_confirmed"] else doubt
    rows = [
        ("Location", f"{answer['location_id']}  {answer['name']}  ({answer['timezone']})"),
        ("Recording", "yes" if answer["recording"] else Text("NO: nothing is recorded", style="bold red")),
        ("Log", f"{number_of(head['sequence'], 'event')}, epoch {head['epoch']}, hash {head['hash'][:16]}…"),
        ("Head office", shipping.get("head_office") or "none set"),
        ("Shipping", state),
        ("Waits to be shipped", Text(number_of(unshipped, "event"), style="yellow" if unshipped else "")),
        ("Last contact", local_time(answer["last_contact_at"], zone) or "never"),
        *_quarantined(answer["quarantined"]),
        ("Clock", clock or f"{local_time(answer['now'], zone)}, confirmed"),
    ]
    rows += [("Open count", _open_count(each, answer["now"], zone)) for each in answer["open_counts"]]
    print_table("", ("", "~"), rows)
    for part in ("detail", "hint"):
        if shipping.get(part):
            print_line(escape(shipping[part]))


def _quarantined(found: dict[str, Any] | None) -> list[tuple[str, Text]]:
    if not found or not found["count"]:
        return []
    listed = ", ".join(map(str, found["sequences"][:10])) + (", …" if found["count"] > 10 else "")
    events = number_of(found["count"], "event")
    text = f"{events} at head office ({listed}); its figures are incomplete until it is upgraded"
    return [("In quarantine", Text(text, style="yellow"))]


_STATES: Final = {
    "OK": "OK",
    "NO_HEAD_OFFICE": "no head office is set; events wait",
    "STOPPED": "the node is not serving; 'larder branch serve' ships, or 'larder branch sync' once",
    "CONNECTING": "connecting",
    "UNREACHABLE": "head office cannot be reached; events wait",
    "UNAUTHORIZED": "head office does not accept this node's key",
    "REFUSED": "head office refuses what this node sends",
}


def _open_count(count: dict[str, Any], now: str, zone: ZoneInfo) -> Text:
    """A count that nobody has closed: since when, and which areas are in."""
    age = datetime.fromisoformat(now) - datetime.fromisoformat(count["opened_at"])
    hours = max(0, round(age.total_seconds() / 3_600))
    old = number_of(hours // 24, "day") if hours >= 48 else number_of(hours, "hour")
    areas = ", ".join(f"{each['item_id']} {each.get('area') or 'whole'}" for each in count["areas"])
    return Text(
        f"{count['count_id']}, open for {old}, since {local_time(count['opened_at'], zone)}: {areas}", style="yellow"
    )
