"""`larder branch stock`, `log`, `explain` and `status`: reads of the node."""

from __future__ import annotations

from typing import Annotated, Any, Final
from urllib.parse import quote

import typer
from rich.markup import escape
from rich.text import Text

from branch_node.cli.node_client import Directory, node_at
from branch_node.database.queries import BY_SEQUENCE
from shared.runtime.cli.output import AsJson, flags, number, number_of, print_json, print_line, print_table, short_time
from shared.runtime.cli.service_client import read_items

_AS_OF = typer.Option("--as-of", help="RFC 3339 with offset: as things stood then.")


def stock(
    item: Annotated[str | None, typer.Argument(metavar="ITEM", help="One item; all if not given.")] = None,
    directory: Directory = None,
    as_of: Annotated[str | None, _AS_OF] = None,
    low: Annotated[bool, typer.Option("--low", help="Only what is at or below its reorder level.")] = False,
    as_json: AsJson = False,
) -> None:
    """What is on hand, reserved and available."""
    if as_of is not None and item is None:
        raise typer.BadParameter("--as-of is for one item: larder branch stock ITEM --as-of …")
    with node_at(directory) as node:
        if item is not None:
            found = [node.get(f"/v1/stock/{quote(item, safe='')}", as_of=as_of)]
        else:
            found = list(read_items(node, "/v1/stock/low" if low else "/v1/stock"))
    if as_json:
        print_json(found[0] if item is not None else {"items": found})
        return
    rows = [
        (
            each["item_id"],
            each.get("name"),
            each["on_hand"],
            each["reserved"],
            each["available"],
            each.get("unit"),
            each.get("reorder_level"),
            flags(each.get("flags")),
        )
        for each in found
    ]
    title = f"As of {short_time(found[0]['as_of'])}" if found else ""
    columns = ("item", "name", "on hand#", "reserved#", "available#", "unit", "reorder at#", "flags")
    print_table(title, columns, rows, empty="Nothing was recorded yet." if not low else "Nothing is low.")


def log(
    *,
    directory: Directory = None,
    item: Annotated[str | None, typer.Option(help="Only this item's events.")] = None,
    event_type: Annotated[str | None, typer.Option("--type", help="Only this type.")] = None,
    after: Annotated[int | None, typer.Option(help="Only events after this sequence.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="At most so many.")] = 50,
    as_json: AsJson = False,
) -> None:
    """The events of this location, in the order they were recorded."""
    kind = None if event_type is None else event_type.upper().replace("-", "_")
    with node_at(directory) as node:
        reached = None if after is None else BY_SEQUENCE.write(after)
        found = list(read_items(node, "/v1/events", most=limit, after=reached, item_id=item, type=kind))
    if as_json:
        print_json({"items": found})
        return
    rows = [
        (
            event["sequence"],
            short_time(event["occurred_at"]),
            event["type"],
            event.get("item_id"),
            event.get("counted", event.get("quantity")),
            event.get("unit"),
            event["actor"],
            _remark(event),
        )
        for event in found
    ]
    columns = ("sequence#", "occurred", "type", "item", "quantity#", "unit", "by", "")
    print_table("", columns, rows, empty="No such events.")


def _remark(event: dict[str, Any]) -> str:
    reference = event.get("reference") or {}
    parts = (
        event.get("reason"),
        f"{reference['kind']} {reference['id']}" if reference else None,
        f"transfer {event['transfer_id']}" if event.get("transfer_id") else None,
        f"voids {event['voided_sequence']}" if event.get("voided_sequence") else None,
        f"voided by {event['voided_by']}" if event.get("voided_by") else None,
        event.get("note"),
    )
    return ", ".join(part for part in parts if part)


def explain(
    item: Annotated[str, typer.Argument(metavar="ITEM", help="The item's code.")],
    directory: Directory = None,
    as_of: Annotated[str | None, _AS_OF] = None,
    as_json: AsJson = False,
) -> None:
    """Why a figure is what it is: the count it starts from, each event after it, and what does not count and why."""
    with node_at(directory) as node:
        answer = node.get(f"/v1/stock/{quote(item, safe='')}/explain", as_of=as_of)
    if as_json:
        print_json(answer)
        return
    now, start, rows = answer["stock"], answer["start"], list[tuple[object, ...]]()
    if answer["older_steps"]:
        rows.append(("", "", f"{answer['older_steps']} older events", "", "", ""))
    rows += [_step(each) for each in ([start] if start else []) + answer["steps"]]
    columns = ("sequence#", "occurred", "type", "change#", "on hand#", "")
    print_table(f"{item}: how it came about", columns, rows, empty="No event counts.")
    if answer["not_counted"] or answer["older_not_counted"]:
        rows = [_left_out(each) for each in answer["not_counted"]]
        if answer["older_not_counted"]:
            rows.insert(0, ("", "", f"{answer['older_not_counted']} older events", "", ""))
        print_table("What does not count", ("sequence#", "occurred", "type", "quantity#", "why"), rows)
    unit = now.get("unit") or ""
    print_line(
        f"As of {short_time(now['as_of'])}: on hand [bold]{number(now['on_hand'])}[/] {escape(unit)}, "
        f"reserved {number(now['reserved'])}, available {number(now['available'])}"
    )


def _step(step: dict[str, Any]) -> tuple[object, ...]:
    event = step["event"]
    change: object = event.get("quantity")
    remark = _remark(event)
    if "counted" in event:
        change = f"= {number(event['counted'])}"
        variance = step.get("variance")
        remark = ", ".join(part for part in (f"variance {number(variance)}" if variance else "", remark) if part)
    return (event["sequence"], short_time(event["occurred_at"]), event["type"], change, step["on_hand"], remark)


def _left_out(left: dict[str, Any]) -> tuple[object, ...]:
    event, by = left["event"], left.get("by_sequence")
    why = left["reason"] + (f" ({by})" if by else "")
    figure = event.get("counted", event.get("quantity"))
    return (event["sequence"], short_time(event["occurred_at"]), event["type"], figure, why)


def status(directory: Directory = None, as_json: AsJson = False) -> None:
    """Where the log ends, what waits to be shipped, and how shipping stands."""
    with node_at(directory) as node:
        answer = node.get("/v1/status")
    if as_json:
        print_json(answer)
        return
    head, shipping, unshipped = answer["head"], answer["shipping"], answer["unshipped"]
    well = shipping["state"] in {"OK", "NO_HEAD_OFFICE", "STOPPED"}
    state = Text(_STATES.get(shipping["state"], shipping["state"]), style="green" if well else "bold red")
    clock = "" if answer["clock_confirmed"] else Text("not confirmed: the computer's clock jumped", style="bold red")
    rows = [
        ("Location", f"{answer['location_id']}  {answer['name']}  ({answer['timezone']})"),
        ("Recording", "yes" if answer["recording"] else Text("NO: nothing is recorded", style="bold red")),
        ("Log", f"{number_of(head['sequence'], 'event')}, epoch {head['epoch']}, hash {head['hash'][:16]}…"),
        ("Head office", shipping.get("head_office") or "none set"),
        ("Shipping", state),
        ("Waits to be shipped", Text(number_of(unshipped, "event"), style="yellow" if unshipped else "")),
        ("Last contact", short_time(answer["last_contact_at"]) or "never"),
        ("Clock", clock or f"{short_time(answer['now'])}, confirmed"),
    ]
    print_table("", ("", ""), rows)
    for part in ("detail", "hint"):
        if shipping.get(part):
            print_line(escape(shipping[part]))


_STATES: Final = {
    "OK": "OK",
    "NO_HEAD_OFFICE": "no head office is set; events wait",
    "STOPPED": "the node is not serving; 'larder branch serve' ships, or 'larder branch sync' once",
    "CONNECTING": "connecting",
    "UNREACHABLE": "head office cannot be reached; events wait",
    "UNAUTHORIZED": "head office does not accept this node's key",
    "REFUSED": "head office refuses what this node sends",
}
