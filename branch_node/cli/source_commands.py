"""`larder branch sources`: the systems that may tell this node of their orders, and the secrets that they sign with."""

from __future__ import annotations

from typing import Annotated, Any, Final
from urllib.parse import quote

import typer

from branch_node.cli.item_completion import complete_source
from branch_node.cli.node_client import Directory, node_at, zone_of
from shared.orders.source_output import OWN_SECRET, print_removed_source, print_source_secret, print_sources
from shared.runtime.cli.arguments import duration
from shared.runtime.cli.output import AsJson, print_json
from shared.runtime.cli.service_app import command_group
from shared.runtime.cli.service_client import read_items

sources_app: Final = command_group("Systems that may tell of their orders: list, add, rotate the secret, remove.")

_NewSource = Annotated[str, typer.Argument(metavar="SOURCE", help="The name of the system, such as webshop.")]
_Source = Annotated[
    str,
    typer.Argument(metavar="SOURCE", help="The system, as 'list' names it.", autocompletion=complete_source),
]


@sources_app.command("list")
def list_sources(directory: Directory = None, as_json: AsJson = False) -> None:
    """List the systems that may tell of orders, and where each sends its events. No secret is shown."""
    with node_at(directory) as node:
        found = list(read_items(node, "/v1/inbound/sources"))
        zone = zone_of(node)
    if as_json:
        print_json({"items": found, "next": None})
        return
    print_sources(found, zone, "branch")


@sources_app.command("add")
def add_source(
    source: _NewSource,
    *,
    hold_days: Annotated[int, typer.Option(help="How many days an order is reserved that names no expiry.")] = 14,
    secret: Annotated[str | None, typer.Option(help=OWN_SECRET)] = None,
    directory: Directory = None,
    as_json: AsJson = False,
) -> None:
    """Let a system tell of its orders, and print the secret that it signs with, once."""
    body = {"source": source, "hold_days": hold_days, "secret": secret}
    with node_at(directory) as node:
        made = node.post("/v1/inbound/sources", {name: value for name, value in body.items() if value is not None})
    if as_json:
        print_json(made)
    else:
        print_source_secret(made, "this node")


@sources_app.command("rotate")
def rotate_secret(
    source: _Source,
    *,
    overlap: Annotated[
        str, typer.Option(help="How long the secret until now still counts: 24h, 30m, 7d; 0: not at all.")
    ] = "24h",
    secret: Annotated[str | None, typer.Option(help=OWN_SECRET)] = None,
    directory: Directory = None,
    as_json: AsJson = False,
) -> None:
    """Give a source another secret, and print it, once. The secret until now counts for the overlap."""
    body: dict[str, Any] = {"overlap_seconds": duration(overlap, "--overlap")}
    if secret is not None:
        body["secret"] = secret
    with node_at(directory) as node:
        made = node.post(f"/v1/inbound/sources/{quote(source, safe='')}/rotate", body)
    if as_json:
        print_json(made)
    else:
        print_source_secret(made, "this node")


@sources_app.command("remove")
def remove_source(source: _Source, *, directory: Directory = None, as_json: AsJson = False) -> None:
    """Take nothing more from a source. What it told of stays in the log."""
    with node_at(directory) as node:
        removed = node.request("DELETE", f"/v1/inbound/sources/{quote(source, safe='')}").json()
    if as_json:
        print_json(removed)
    else:
        print_removed_source(removed)
