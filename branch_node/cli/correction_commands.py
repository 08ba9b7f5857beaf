"""`larder branch void` and `review`: a manager's corrections."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import quote

import typer

from branch_node.cli.event_tables import print_recorded
from branch_node.cli.node_client import Directory, node_at
from branch_node.database.queries import BY_SEQUENCE
from branch_node.problems import UNKNOWN_EVENT
from branch_node.settings import load
from shared.runtime.cli.output import AsJson, number_of, print_json, print_line
from shared.runtime.cli.pending_commands import post_command, post_pending
from shared.runtime.client import ServiceClient

_Event = Annotated[
    str, typer.Argument(metavar="EVENT_ID", help="The event's id, or its sequence as 'larder branch log' shows it.")
]
_Key = Annotated[str | None, typer.Option("--key", help="Idempotency key; made and kept for you if not given.")]


def void(
    event: _Event,
    *,
    reason: Annotated[str, typer.Option(help="Why, as a code: mistake, duplicate, not-happened …")],
    whole: Annotated[
        bool, typer.Option("--whole", help="Void all that the event's command recorded, in one transaction.")
    ] = False,
    note: Annotated[str | None, typer.Option()] = None,
    directory: Directory = None,
    key: _Key = None,
    as_json: AsJson = False,
) -> None:
    """Void an event: it counts nowhere from now on, as if it had never been. Says what of its command still stands.

    A void is not voided: record again what is right.
    """
    body: dict[str, Any] = {"reason": reason, "note": note, "whole": whole or None}
    answer = _correct(directory, event, "void", body, key)
    if as_json:
        print_json(answer)
        return
    print_recorded("Recorded", answer.get("voided", [answer]))
    standing = answer["still_stands"]
    if standing:
        print_recorded("Of the same command this still stands", standing)
        print_line(
            f"[yellow]{number_of(len(standing), 'event')} of the same command still counted: "
            f"'larder branch void {answer['voided_event_id']} --whole --reason {reason}' voids the rest.[/]"
        )


def review(
    event: _Event,
    *,
    comment: Annotated[str | None, typer.Option(help="What was found.")] = None,
    directory: Directory = None,
    key: _Key = None,
    as_json: AsJson = False,
) -> None:
    """Record that a person reviewed an event. It changes no figure."""
    answer = _correct(directory, event, "review", {"comment": comment}, key)
    if as_json:
        print_json(answer)
    else:
        print_recorded("Recorded", [answer])


def _correct(directory: Any, event: str, what: str, body: dict[str, Any], key: str | None) -> Any:
    given = {name: value for name, value in body.items() if value is not None}
    with node_at(directory) as node:
        path = f"/v1/events/{quote(_event_id(node, event), safe='')}/{what}"
        if key is not None:
            return post_command(node, path, given, key=key)
        return post_pending(node, load(directory).dir, path, given)


def _event_id(node: ServiceClient, event: str) -> str:
    """The id of an event that was named by its id or its sequence. Raises 404 `unknown-event`."""
    if not (event.isascii() and event.isdigit() and len(event) < 16 and int(event) > 0):
        return event
    found = node.get("/v1/events", after=BY_SEQUENCE.write(int(event) - 1), limit=1)["items"]
    if not found or found[0]["sequence"] != int(event):
        raise UNKNOWN_EVENT(f"there is no event {event} in this log", sequence=int(event))
    event_id: str = found[0]["event_id"]
    return event_id
