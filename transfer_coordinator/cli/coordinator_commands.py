"""`larder transfer create`, `show`, `list` and `cancel`."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any, Final
from urllib.parse import quote

import typer
from rich.markup import escape

from shared.event_record import change_text
from shared.runtime.cli.arguments import item_lines, one_of
from shared.runtime.cli.errors import REFUSED
from shared.runtime.cli.output import UTC, AsJson, print_json, print_line, print_table, short_time
from shared.runtime.cli.pending_commands import post_command, post_pending, state_folder
from shared.runtime.cli.progress import status_line
from shared.runtime.cli.service_client import read_pages
from shared.runtime.clock import SystemClock
from transfer_coordinator.cli.catalogue_completion import complete_line, complete_location
from transfer_coordinator.cli.coordinator_client import CoordinatorClient, Directory, coordinator
from transfer_coordinator.saga.adoption import UNADOPTABLE
from transfer_coordinator.saga.saga import State
from transfer_coordinator.settings import settings_of

COMPLETED: Final = "COMPLETED"

Url = Annotated[str | None, typer.Option("--url", help="The address of a coordinator elsewhere, instead of --dir.")]
Key = Annotated[str | None, typer.Option("--key", help="A key of the group; this machine's own if not given.")]
Name = Annotated[str, typer.Argument(metavar="TRANSFER", help="The transfer's id.")]


def create(
    *,
    source: Annotated[str, typer.Option(help="Where the goods are.", autocompletion=complete_location)],
    destination: Annotated[str, typer.Option(help="Where they shall go.", autocompletion=complete_location)],
    line: Annotated[
        list[str],
        typer.Option(
            metavar="ITEM=QUANTITY", help="Such as milk=2.5; once for each item.", autocompletion=complete_line
        ),
    ],
    folder: Directory = None,
    transfer_id: Annotated[
        str | None, typer.Option(help="Its id, and the key of this command; made if not given.")
    ] = None,
    deadline: Annotated[
        str | None, typer.Option(help="RFC 3339 with offset: cancelled unless it arrived by then.")
    ] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Wait for the end, showing how it goes.")] = False,
    timeout: Annotated[float, typer.Option(help="Seconds to wait at most, with --wait.")] = 86_400.0,
    url: Url = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Move goods from one location to another. With --wait the exit code says whether they arrived."""
    body: dict[str, Any] = {
        "source": source,
        "destination": destination,
        "mode": "immediate",
        "lines": [{"item_id": item, "quantity": quantity} for item, quantity in item_lines(line, "--line")],
    }
    if deadline is not None:
        body["deadline"] = deadline
    with coordinator(folder, url, key) as reached:
        document = _create(reached, folder, body, transfer_id, url)
        if reached.drive_here:
            # Its first instruction is sent now, so that the answer says whether head office took it.
            reached.drive()
            document = reached.client.get(f"/v1/transfers/{quote(document['transfer_id'], safe='')}")
        if wait:
            document = _follow(reached, document, timeout)
    _answer(document, as_json)
    if wait and document["state"] != COMPLETED:
        raise typer.Exit(REFUSED)


def _create(
    reached: CoordinatorClient, folder: Path | None, body: dict[str, Any], transfer_id: str | None, url: str | None
) -> Any:
    if transfer_id is not None:
        return post_command(reached.client, "/v1/transfers", {**body, "transfer_id": transfer_id})
    directory = settings_of(folder).dir if url is None else state_folder(url)
    return post_pending(reached.client, directory, "/v1/transfers", body, id_member="transfer_id")


def _follow(reached: CoordinatorClient, document: Any, timeout: float) -> Any:
    """Show the transfer's state until it has ended or `timeout` seconds are over; its last document."""
    clock = SystemClock()
    until = clock.monotonic() + timeout
    path = f"/v1/transfers/{quote(document['transfer_id'], safe='')}"
    with status_line() as show_status:
        while "ended_at" not in document and clock.monotonic() < until:
            show_status(f"[bold]{document['state']}[/] {escape(document['why'])}")
            reached.drive()
            document = reached.client.get(path, wait=max(0.0, min(reached.poll_seconds, until - clock.monotonic())))
    return document


def _answer(document: Any, as_json: bool) -> None:
    if as_json:
        print_json(document)
        return
    print_line(f"[bold]{escape(document['transfer_id'])}[/] {document['state']}: {escape(document['why'])}")


def show(
    *, transfer: Name, folder: Directory = None, url: Url = None, key: Key = None, as_json: AsJson = False
) -> None:
    """One transfer: its state and why, its events in the logs, and its journal."""
    with coordinator(folder, url, key) as reached:
        document = reached.client.get(f"/v1/transfers/{quote(transfer, safe='')}")
    if as_json:
        print_json(document)
        return
    _answer(document, False)
    print_table(
        f"{document['source']} to {document['destination']}",
        ["item", "requested#", "sent#", "received#", "lost#", "unit"],
        [
            [each["item_id"], each["quantity"], each["sent"], each["received"], each["lost"], each["unit"]]
            for each in document["lines"]
        ],
    )
    print_table(
        "Facts from the logs, times in UTC",
        ["location", "event#", "type", "item", "change+", "lost#", "reason", "occurred@"],
        [
            [each["location_id"], each["sequence"], each["type"], each.get("item_id"), change_text(each),
             each.get("quantity") if each["type"] == "TRANSFER_LOST" else None,
             each.get("reason"), short_time(each["occurred_at"], UTC)]
            for each in document["facts"]
        ],
    )  # fmt: skip
    print_table(
        "Journal, times in UTC",
        ["at@", "state", "requested step", "token#", "by", "note~"],
        [
            [
                short_time(each["at"], UTC),
                each["state"],
                each.get("asked"),
                each["token"],
                each["holder"],
                each.get("note"),
            ]
            for each in document["journal"]
        ],
    )


def list_transfers(
    *,
    state: Annotated[
        str | None, typer.Option(help="Only those in this state, such as IN_PENDING or UNADOPTABLE.")
    ] = None,
    location: Annotated[
        str | None, typer.Option(help="Only those from or to this location.", autocompletion=complete_location)
    ] = None,
    most: Annotated[int, typer.Option("--most", min=1, help="How many, the newest first.")] = 50,
    folder: Directory = None,
    url: Url = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Transfers, the newest first."""
    if state is not None:
        state = one_of(state, [*State, UNADOPTABLE], "--state")
    with coordinator(folder, url, key) as reached:
        pages = list(read_pages(reached.client, "/v1/transfers", most=most, state=state, location_id=location))
    found = [each for page in pages for each in page["items"]]
    after = pages[-1]["next"]
    if as_json:
        print_json({"items": found, "next": after})
        return
    print_table(
        "Transfers, times in UTC",
        ["transfer", "state", "from", "to", "lines#", "created@", "flags~", "why~"],
        [
            [each["transfer_id"], each["state"], each.get("source"), each.get("destination"),
             len(each.get("lines", ())) or None, short_time(each.get("created_at"), UTC),
             each.get("conflict") or ("overdue" if each["overdue"] else None), each["why"]]
            for each in found
        ],
        empty="Transfers: none",
    )  # fmt: skip
    if after is not None:
        print_line(f"[dim]There are more: --most {most * 2}[/]")


def cancel(
    *,
    transfer: Name,
    wait: Annotated[bool, typer.Option("--wait", help="Wait for the end, showing how it goes.")] = False,
    timeout: Annotated[float, typer.Option(help="Seconds to wait at most, with --wait.")] = 86_400.0,
    folder: Directory = None,
    url: Url = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Cancel a transfer, as long as nothing was received. With --wait the exit code says whether it came back."""
    with coordinator(folder, url, key) as reached:
        # A transfer is cancelled once: the command given again after a lost answer has the same key.
        again = f"cancel-{sha256(transfer.encode()).hexdigest()[:32]}"
        document = post_command(reached.client, f"/v1/transfers/{quote(transfer, safe='')}/cancel", {}, key=again)
        if wait:
            document = _follow(reached, document, timeout)
    _answer(document, as_json)
    if wait and document["state"] not in {"REJECTED", "REVERSED"}:
        raise typer.Exit(REFUSED)
