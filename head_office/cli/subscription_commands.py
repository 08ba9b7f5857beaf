"""`larder head-office subscriptions`: who is sent the group's messages by webhook."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import msgspec
import typer
from rich.markup import escape

from head_office.cli.office_completion import complete_location
from head_office.cli.office_database import DatabaseUrl, Directory, office
from head_office.settings import settings_of
from head_office.subscriptions import published_messages
from head_office.subscriptions.office_subscriptions import subscription_desk
from shared.runtime.cli.output import UTC, AsJson, print_json, print_line, print_text
from shared.runtime.cli.service_app import command_group
from shared.runtime.clock import IdFactory, SystemClock
from shared.runtime.http.strict_json import CheckedDecoder
from shared.runtime.webhooks.address_guard import AddressGuard
from shared.subscriptions.delivery_state import DeliveryState
from shared.subscriptions.subscription_access import SubscriptionAccess
from shared.subscriptions.subscription_desk import SubscriptionDesk
from shared.subscriptions.subscription_inputs import (
    GroupSubscriptionInput,
    ReplayInput,
    SubscriptionChange,
    SubscriptionRotationInput,
)
from shared.subscriptions.subscription_output import (
    print_deliveries,
    print_secret,
    print_subscription,
    print_subscriptions,
)

PAGE: Final = 1_000
MAX_INPUT: Final = 64 * 1024
COMMAND_LINE: Final = SubscriptionAccess("localcli")
"""Whose subscriptions those are that are made here; every one is seen."""

subscriptions_app: Final = command_group(
    "Who is sent messages by webhook: list, add, show, pause, resume, remove, rotate, replay, deliveries."
)

_Id = Annotated[str, typer.Argument(metavar="SUBSCRIPTION", help="Its id, as 'list' shows it.")]
_Location = Annotated[
    str | None,
    typer.Option("--location", metavar="LOCATION", help="Only there.", autocompletion=complete_location),
]
_State = Annotated[
    Literal["RETRYING", "DELIVERED", "DEAD"] | None, typer.Option("--state", help="Only those in this state.")
]


@contextmanager
def _desk(folder: Path | None, database_url: str | None) -> Iterator[SubscriptionDesk]:
    """What a running head office notices within seconds."""
    settings = settings_of(folder, database_url=database_url)
    with office(folder, database_url) as engine:
        reader = published_messages.message_reader(engine)
        yield subscription_desk(
            engine, reader, AddressGuard(settings.webhook_allow), now=SystemClock().now, new_id=IdFactory()
        )


@subscriptions_app.command("list")
def list_subscriptions(folder: Directory = None, database_url: DatabaseUrl = None, as_json: AsJson = False) -> None:
    """List the subscriptions."""
    with _desk(folder, database_url) as desk:
        found = _all(lambda after: desk.page(COMMAND_LINE, after, PAGE))
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
    location_ids: Annotated[
        list[str] | None,
        typer.Option(
            "--location",
            metavar="LOCATION",
            help="Only messages of this location; repeat it. All, new ones too, if left out.",
            autocompletion=complete_location,
        ),
    ] = None,
    after: Annotated[str, typer.Option(metavar="CURSOR", help="Where to begin: start, end, or a cursor.")] = "end",
    label: Annotated[str | None, typer.Option(help="What people call it.")] = None,
    folder: Directory = None,
    database_url: DatabaseUrl = None,
    as_json: AsJson = False,
) -> None:
    """Have messages posted to an address. Its secret is shown this once."""
    given = _read(
        GroupSubscriptionInput,
        {"url": url, "types": types or None, "location_ids": location_ids or None, "after": after, "label": label},
    )
    with _desk(folder, database_url) as desk:
        made = desk.create(COMMAND_LINE, given, None)
    if as_json:
        print_json(made)
        return
    print_text(f"subscription: {made.subscription_id}")
    print_secret(made.secret)


@subscriptions_app.command()
def show(
    subscription: _Id, *, folder: Directory = None, database_url: DatabaseUrl = None, as_json: AsJson = False
) -> None:
    """Show a subscription, and how far it has come."""
    with _desk(folder, database_url) as desk:
        found = desk.show(COMMAND_LINE, subscription)
    if as_json:
        print_json(found)
    else:
        print_subscription(msgspec.to_builtins(found), UTC)


@subscriptions_app.command()
def pause(
    subscription: _Id, *, folder: Directory = None, database_url: DatabaseUrl = None, as_json: AsJson = False
) -> None:
    """Send it nothing until it is resumed; what is published meanwhile is sent then."""
    with _desk(folder, database_url) as desk:
        found = desk.change(COMMAND_LINE, subscription, _read(SubscriptionChange, {"state": "PAUSED"}))
    _say(found, subscription, "is paused", as_json=as_json)


@subscriptions_app.command()
def resume(
    subscription: _Id, *, folder: Directory = None, database_url: DatabaseUrl = None, as_json: AsJson = False
) -> None:
    """Go on sending, at once: to one that was paused, was disabled by its receiver, or waits for another try."""
    with _desk(folder, database_url) as desk:
        found = desk.change(COMMAND_LINE, subscription, _read(SubscriptionChange, {"state": "ACTIVE"}))
    _say(found, subscription, "is active", as_json=as_json)


@subscriptions_app.command()
def remove(
    subscription: _Id, *, folder: Directory = None, database_url: DatabaseUrl = None, as_json: AsJson = False
) -> None:
    """Remove a subscription; nothing more is sent to it."""
    with _desk(folder, database_url) as desk:
        desk.remove(COMMAND_LINE, subscription)
    _say({"subscription_id": subscription}, subscription, "is removed", as_json=as_json)


@subscriptions_app.command()
def rotate(
    *,
    subscription: _Id,
    overlap: Annotated[
        int, typer.Option(metavar="SECONDS", min=0, max=2_592_000, help="How long the old secret signs as well.")
    ] = 86_400,
    folder: Directory = None,
    database_url: DatabaseUrl = None,
    as_json: AsJson = False,
) -> None:
    """Give it a new secret, which is shown this once; the old one signs beside it for a while."""
    with _desk(folder, database_url) as desk:
        made = desk.rotate(COMMAND_LINE, subscription, SubscriptionRotationInput(overlap_seconds=overlap), None)
    if as_json:
        print_json(made)
    else:
        print_secret(made.secret)


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
    location: _Location = None,
    folder: Directory = None,
    database_url: DatabaseUrl = None,
    as_json: AsJson = False,
) -> None:
    """Send again what comes after a place in the logs, or one message."""
    if (after is None) == (message is None):
        raise typer.BadParameter("give either --after or --message")
    given = _read(ReplayInput, {"after": after, "message_id": message, "location_id": location})
    with _desk(folder, database_url) as desk:
        found = desk.replay(COMMAND_LINE, subscription, given, None)
    _say(found, subscription, "sends again", as_json=as_json)


@subscriptions_app.command()
def deliveries(
    subscription: _Id,
    *,
    state: _State = None,
    location: _Location = None,
    folder: Directory = None,
    database_url: DatabaseUrl = None,
    as_json: AsJson = False,
) -> None:
    """List what was sent lately, is being tried, or was given up; by location, the newest first."""
    wanted = None if state is None else DeliveryState(state)
    with _desk(folder, database_url) as desk:
        found = _all(
            lambda after: desk.deliveries(
                COMMAND_LINE, subscription, after=after, limit=PAGE, state=wanted, location_id=location
            )
        )
    if as_json:
        print_json({"items": found, "next": None})
    else:
        print_deliveries(found, UTC)


def _all(page: Callable[[str | None], tuple[list[Any], str | None]]) -> list[Any]:
    """Every record of a list, as a route answers it."""
    found, after = page(None)
    while after is not None:
        more, after = page(after)
        found += more
    return [msgspec.to_builtins(each) for each in found]


def _read(kind: type[Any], given: dict[str, Any]) -> Any:
    """What was given, checked as the body of a request is. Raises Problem 422 `invalid-request`."""
    body = {name: value for name, value in given.items() if value is not None}
    return CheckedDecoder(kind, max_bytes=MAX_INPUT)(msgspec.json.encode(body))


def _say(found: Any, subscription: str, what: str, *, as_json: bool) -> None:
    if as_json:
        print_json(found)
    else:
        print_line(f"[green]{escape(subscription)} {what}.[/]")
