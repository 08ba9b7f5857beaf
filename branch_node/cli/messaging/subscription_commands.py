"""`larder branch subscriptions`: who is sent this branch's messages by webhook."""

from __future__ import annotations

import secrets
from typing import Annotated, Any, Final, Literal
from urllib.parse import quote

import typer
from rich.markup import escape

from branch_node.cli.node_client import Directory, node_at, zone_of
from shared.runtime.cli.output import AsJson, print_json, print_line, print_text
from shared.runtime.cli.service_app import command_group
from shared.runtime.cli.service_client import read_items
from shared.runtime.client import ServiceClient
from shared.subscriptions.subscription_output import (
    print_deliveries,
    print_secret,
    print_subscription,
    print_subscriptions,
)

PATH: Final = "/v1/subscriptions"
TRIES: Final = 3
HELP: Final = "Who is sent messages by webhook: list, add, show, pause, resume, remove, rotate, replay, deliveries."

subscriptions_app: Final = command_group(HELP)

_Id = Annotated[str, typer.Argument(metavar="SUBSCRIPTION", help="Its id, as 'list' shows it.")]
_State = Annotated[
    Literal["RETRYING", "DELIVERED", "DEAD"] | None, typer.Option("--state", help="Only those in this state.")
]


@subscriptions_app.command("list")
def list_subscriptions(directory: Directory = None, as_json: AsJson = False) -> None:
    """List the subscriptions."""
    with node_at(directory) as node:
        found = list(read_items(node, PATH))
    if as_json:
        print_json({"items": found, "next": None})
    else:
        print_subscriptions(found)


@subscriptions_app.command()
def add(
    *,
    url: Annotated[str, typer.Argument(metavar="URL", help="Where the messages are posted.")],
    types: Annotated[
        list[str] | None,
        typer.Option("--type", metavar="TYPE", help="Only this type, such as larder.StockAdded; repeat it."),
    ] = None,
    after: Annotated[str, typer.Option(metavar="CURSOR", help="Where to begin: start, end, or a cursor.")] = "end",
    label: Annotated[str | None, typer.Option(help="What people call it.")] = None,
    directory: Directory = None,
    as_json: AsJson = False,
) -> None:
    """Have messages posted to an address. Its secret is shown this once."""
    given = {"url": url, "types": types or None, "after": after, "label": label}
    body = {name: value for name, value in given.items() if value is not None}
    with node_at(directory) as node:
        made = node.post(PATH, body, idempotency_key=secrets.token_hex(16), tries=TRIES)
    if as_json:
        print_json(made)
        return
    print_text(f"subscription: {made['subscription_id']}")
    print_secret(made["secret"])


@subscriptions_app.command()
def show(subscription: _Id, directory: Directory = None, as_json: AsJson = False) -> None:
    """Show a subscription, and how far it has come."""
    with node_at(directory) as node:
        found, zone = node.get(_at(subscription)), zone_of(node)
    if as_json:
        print_json(found)
    else:
        print_subscription(found, zone)


@subscriptions_app.command()
def pause(subscription: _Id, directory: Directory = None, as_json: AsJson = False) -> None:
    """Send it nothing until it is resumed; what is published meanwhile is sent then."""
    with node_at(directory) as node:
        found = _set_state(node, subscription, "PAUSED")
    _say(found, "is paused", as_json=as_json)


@subscriptions_app.command()
def resume(subscription: _Id, directory: Directory = None, as_json: AsJson = False) -> None:
    """Go on sending, at once: to one that was paused, was disabled by its receiver, or waits for another try."""
    with node_at(directory) as node:
        found = _set_state(node, subscription, "ACTIVE")
    _say(found, "is active", as_json=as_json)


@subscriptions_app.command()
def remove(subscription: _Id, directory: Directory = None, as_json: AsJson = False) -> None:
    """Remove a subscription; nothing more is sent to it."""
    with node_at(directory) as node:
        node.request("DELETE", _at(subscription))
    _say({"subscription_id": subscription}, "is removed", as_json=as_json)


@subscriptions_app.command()
def rotate(
    *,
    subscription: _Id,
    overlap: Annotated[int, typer.Option(metavar="SECONDS", help="How long the old secret signs as well.")] = 86_400,
    directory: Directory = None,
    as_json: AsJson = False,
) -> None:
    """Give it a new secret, which is shown this once; the old one signs beside it for a while."""
    with node_at(directory) as node:
        made = node.post(
            f"{_at(subscription)}/rotate",
            {"overlap_seconds": overlap},
            idempotency_key=secrets.token_hex(16),
            tries=TRIES,
        )
    if as_json:
        print_json(made)
    else:
        print_secret(made["secret"])


@subscriptions_app.command()
def replay(
    *,
    subscription: _Id,
    after: Annotated[
        str | None, typer.Option(metavar="CURSOR", help="Send again all that comes after: start, end, or a cursor.")
    ] = None,
    message: Annotated[
        str | None, typer.Option(metavar="MESSAGE", help="Send one message again, as 'deliveries' names it.")
    ] = None,
    directory: Directory = None,
    as_json: AsJson = False,
) -> None:
    """Send again what comes after a place in the log, or one message."""
    if (after is None) == (message is None):
        raise typer.BadParameter("give either --after or --message")
    body = {"after": after} if after is not None else {"message_id": message}
    with node_at(directory) as node:
        found = node.post(f"{_at(subscription)}/replay", body, idempotency_key=secrets.token_hex(16), tries=TRIES)
    _say(found, "sends again", as_json=as_json)


@subscriptions_app.command()
def deliveries(
    subscription: _Id, *, state: _State = None, directory: Directory = None, as_json: AsJson = False
) -> None:
    """List what was sent lately, is being tried, or was given up; the newest first."""
    with node_at(directory) as node:
        found = list(read_items(node, f"{_at(subscription)}/deliveries", state=state))
        zone = zone_of(node)
    if as_json:
        print_json({"items": found, "next": None})
    else:
        print_deliveries(found, zone)


def _at(subscription: str) -> str:
    return f"{PATH}/{quote(subscription, safe='')}"


def _set_state(node: ServiceClient, subscription: str, state: str) -> Any:
    return node.request("PATCH", _at(subscription), json_body={"state": state}, tries=TRIES).json()


def _say(found: dict[str, Any], what: str, *, as_json: bool) -> None:
    if as_json:
        print_json(found)
    else:
        print_line(f"[green]{escape(found['subscription_id'])} {what}.[/]")
