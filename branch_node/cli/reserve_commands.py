"""`larder branch reserve`, and `larder branch reservations list`, `show`, `confirm` and `release`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Final
from urllib.parse import quote
from zoneinfo import ZoneInfo

import typer
from rich.markup import escape

from branch_node.cli.item_completion import complete_item, complete_line
from branch_node.cli.node_client import Directory, node_at, node_command, zone_of
from branch_node.settings import load
from shared.runtime.cli.arguments import duration, item_lines, one_of
from shared.runtime.cli.output import AsJson, number, print_json, print_line, print_next, print_table, short_time
from shared.runtime.cli.pending_commands import post_command, post_pending
from shared.runtime.cli.service_app import command_group
from shared.runtime.cli.service_client import read_items
from shared.runtime.client import ServiceClient

reservations_app: Final = command_group("Reservations: list them, show one, confirm or release one.")

STATES: Final = ("ACTIVE", "CONFIRMED", "RELEASED", "EXPIRED")

_Reservation = Annotated[
    str, typer.Argument(metavar="ORDER_ID", help="The order whose newest reservation it is; or a reservation's own id.")
]
_SOURCE = typer.Option(help="The system that the order comes from, where several have one of this id.")
_KEY = typer.Option("--key", help="Idempotency key; made and kept for you if not given.")


def reserve(
    *,
    order_id: Annotated[str, typer.Argument(metavar="ORDER_ID")],
    lines: Annotated[
        list[str], typer.Argument(metavar="ITEM=QUANTITY", help="Such as milk=2.5", autocompletion=complete_line)
    ],
    directory: Directory = None,
    revision: Annotated[int | None, typer.Option(help="Higher than the last: states the whole order anew.")] = None,
    source: Annotated[str | None, typer.Option(help="The system that the order comes from.")] = None,
    expires_in: Annotated[
        str | None, typer.Option(metavar="TIME", help="How long it lasts: 90s, 15m, 2h or 14d; 15m if not given.")
    ] = None,
    key: Annotated[str | None, _KEY] = None,
    as_json: AsJson = False,
) -> None:
    """Reserve all lines of an order, or none where too little is available."""
    asked = [{"item_id": item_id, "quantity": quantity} for item_id, quantity in item_lines(lines)]
    body = {"order_id": order_id, "revision": revision, "source": source, "lines": asked}
    body["expires_in"] = None if expires_in is None else duration(expires_in, "--expires-in")
    with node_at(directory) as node:
        answer, zone = _post(node, directory, "/v1/reservations", _given(body), key), zone_of(node)
    _print(answer, zone, as_json=as_json)
    if not as_json:
        words = () if source is None else ("--source", source)
        print_next(node_command(directory, "reservations", "confirm", order_id, *words))


@reservations_app.command("list")
def list_reservations(
    *,
    order: Annotated[str | None, typer.Option(help="Of this order.")] = None,
    source: Annotated[str | None, typer.Option(help="From this system.")] = None,
    item: Annotated[str | None, typer.Option(help="That name this item.", autocompletion=complete_item)] = None,
    state: Annotated[str | None, typer.Option(help=", ".join(STATES))] = None,
    directory: Directory = None,
    as_json: AsJson = False,
) -> None:
    """List the reservations, in the order in which they were made."""
    wanted = {"order_id": order, "source": source, "item_id": item}
    wanted["state"] = None if state is None else one_of(state.upper(), STATES, "--state")
    with node_at(directory) as node:
        found = list(read_items(node, "/v1/reservations", **_given(wanted)))
        zone = zone_of(node)
    if as_json:
        print_json({"items": found, "next": None})
        return
    rows = [
        (
            each["order_id"],
            each["source"],
            each["state"],
            # When it would have expired says nothing of one that ended before.
            short_time(each["expires_at"], zone) if each["state"] in {"ACTIVE", "EXPIRED"} else None,
            len(each["lines"]),
            sum(line["open"] > 0 for line in each["lines"]),
        )
        for each in found
    ]
    columns = ("order", "source", "state", "expires", "items#", "open#")
    print_table(f"Reservations ({zone.key})", columns, rows, empty="There is no such reservation.")


@reservations_app.command()
def show(
    reservation: _Reservation,
    *,
    source: Annotated[str | None, _SOURCE] = None,
    directory: Directory = None,
    as_json: AsJson = False,
) -> None:
    """Show one reservation, line by line."""
    with node_at(directory) as node:
        found, zone = node.get(_path(node, reservation, source)), zone_of(node)
    _print(found, zone, as_json=as_json)


@reservations_app.command()
def confirm(
    reservation: _Reservation,
    lines: Annotated[
        list[str] | None,
        typer.Argument(metavar="[ITEM=QUANTITY]", help="What was sent; all that is open if none is given."),
    ] = None,
    *,
    source: Annotated[str | None, _SOURCE] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Keep the rest reserved, for another parcel.")] = False,
    key: Annotated[str | None, _KEY] = None,
    directory: Directory = None,
    as_json: AsJson = False,
) -> None:
    """Confirm what was sent: it leaves the stock. The rest is released, unless it is to be kept."""
    body: dict[str, Any] = {"rest": "keep" if keep else None}
    if lines:
        body["lines"] = [{"item_id": item_id, "quantity": quantity} for item_id, quantity in item_lines(lines)]
    with node_at(directory) as node:
        path = f"{_path(node, reservation, source)}/confirm"
        answer, zone = _post(node, directory, path, _given(body), key), zone_of(node)
    _print(answer, zone, as_json=as_json)


@reservations_app.command()
def release(
    reservation: _Reservation,
    *,
    source: Annotated[str | None, _SOURCE] = None,
    reason: Annotated[str | None, typer.Option(help="Why, as a code: cancelled, cart-abandoned …")] = None,
    key: Annotated[str | None, _KEY] = None,
    directory: Directory = None,
    as_json: AsJson = False,
) -> None:
    """Give back everything that a reservation has open."""
    with node_at(directory) as node:
        path = f"{_path(node, reservation, source)}/release"
        answer, zone = _post(node, directory, path, _given({"reason": reason}), key), zone_of(node)
    _print(answer, zone, as_json=as_json)


def _post(
    node: ServiceClient, directory: Path | None, path: str, body: dict[str, Any], key: str | None
) -> dict[str, Any]:
    answer: dict[str, Any]
    if key is not None:
        answer = post_command(node, path, body, key=key)
    else:
        answer = post_pending(node, load(directory).dir, path, body)
    return answer


def _print(found: dict[str, Any], zone: ZoneInfo, *, as_json: bool) -> None:
    if as_json:
        print_json(found)
        return
    until = f" until {short_time(found['expires_at'], zone)} ({zone.key})" if found["state"] == "ACTIVE" else ""
    # Two lines: the ids of both would not fit one of 80 columns.
    print_line(
        f"Order [bold]{escape(found['order_id'])}[/] ({escape(found['source'])}, revision {found['revision']}): "
        f"[bold]{found['state']}[/]{until}"
    )
    print_line(f"[dim]Reservation {escape(found['reservation_id'])}[/]")
    names = ("quantity", "confirmed", "released", "open")
    rows = [(line["item_id"], *(number(line[name]) for name in names), line["unit"]) for line in found["lines"]]
    print_table("", ("item", *(f"{name}#" for name in names), "unit"), rows)


def _path(node: ServiceClient, reservation: str, source: str | None) -> str:
    """The address of the newest reservation of an order, else of the reservation with this id."""
    of_order = [*read_items(node, "/v1/reservations", **_given({"order_id": reservation, "source": source}))]
    sources = sorted({each["source"] for each in of_order})
    if len(sources) > 1:
        named = ", ".join(sources)
        raise typer.BadParameter(f"{named} have an order {reservation}: name the one meant", param_hint="--source")
    found = of_order[-1]["reservation_id"] if of_order else reservation
    return f"/v1/reservations/{quote(found, safe='')}"


def _given(body: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in body.items() if value is not None}
