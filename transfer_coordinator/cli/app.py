"""`larder transfer …`: the transfer coordinator at the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Final
from urllib.parse import quote

import typer
from rich.console import Console
from rich.markup import escape

from shared.runtime.client import RemoteProblem, ServiceClient, Unreachable
from shared.runtime.clock import IdFactory, SystemClock
from shared.runtime.settings import command_line, load_settings, read_settings_file, write_settings_file
from transfer_coordinator.cli.coordinator_client import AGENT, Reached, coordinator
from transfer_coordinator.cli.output import (
    REFUSED,
    Dir,
    Json,
    Refused,
    TellingGroup,
    moment,
    print_json,
    print_line,
    print_table,
)
from transfer_coordinator.cli.pending import forget, kept_id
from transfer_coordinator.settings import DEFAULT_PORT, CoordinatorSettings, settings_of

PAGE: Final = 1_000
COMPLETED: Final = "COMPLETED"

app: Final = typer.Typer(
    cls=TellingGroup,
    no_args_is_help=True,
    add_completion=False,
    help="The transfer coordinator: move stock between locations.",
    context_settings={"help_option_names": ["-h", "--help"]},
)

Url = Annotated[str | None, typer.Option("--url", help="The address of a coordinator elsewhere, instead of --dir.")]
Key = Annotated[str | None, typer.Option("--key", help="A key of the group; this machine's own if not given.")]
Name = Annotated[str, typer.Argument(metavar="TRANSFER", help="The transfer's id.")]


@app.command()
def init(
    *,
    head_office: Annotated[str, typer.Option(help="Head office's address, such as http://127.0.0.1:8000.")],
    key: Annotated[str, typer.Option(help="What 'larder head-office keys add --role coordinator' printed.")],
    folder: Annotated[Path, typer.Option("--dir", help="A folder for its settings, database and logs.")] = Path(
        "larder-transfer"
    ),
    database_url: Annotated[
        str | None, typer.Option(help="PostgreSQL to use; without it one of its own runs in --dir.")
    ] = None,
    port: Annotated[int | None, typer.Option(help=f"Where it will listen; {DEFAULT_PORT} if not given.")] = None,
    as_json: Json = False,
) -> None:
    """Make a transfer coordinator, or give it another head office or key: its settings and its database."""
    flags: dict[str, Any] = {
        "dir": folder,
        "head_office": head_office,
        "key": key,
        "database_url": database_url,
        "port": port,
    }
    from transfer_coordinator.database.connections import DATABASE  # all of SQL, which most commands do without

    settings = load_settings(CoordinatorSettings, flags)
    reached = _try_key(settings)
    with DATABASE.opened(settings):
        kept = {name: value for name, value in flags.items() if name != "dir" and value is not None}
        write_settings_file(
            folder,
            {**read_settings_file(folder), **kept, "service": settings.service, "head_office": settings.head_office},
        )
    next_step = command_line("transfer", "serve", "--dir", folder, "--port", settings.port)
    if as_json:
        print_json({"dir": str(folder), "head_office": settings.head_office, "reached": reached, "next": [next_step]})
        return
    print_line(f"[green]The transfer coordinator in {escape(str(folder))} is ready.[/]")
    if not reached:
        print_line(f"[yellow]{escape(settings.head_office)} does not answer now; the key could not be tried.[/]")
    print_line(f"Next:\n  {escape(next_step)}")


def _try_key(settings: CoordinatorSettings) -> bool:
    """Whether head office answers. Raises Refused where it does not take the key."""
    with ServiceClient(settings.head_office, key=settings.key.get_secret_value(), user_agent=AGENT) as client:
        try:
            client.get("/v1/sync/catalogue", limit=1)
        except Unreachable:
            return False
        except RemoteProblem as problem:
            if problem.status in {401, 403}:
                raise Refused(
                    f"head office does not take this key: {problem.detail or problem.title}",
                    "Make one with: larder head-office keys add --role coordinator",
                ) from problem
            raise
    return True


@app.command()
def serve(
    *,
    folder: Dir = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on; 127.0.0.1 unless told otherwise.")] = None,
    port: Annotated[
        int | None, typer.Option(help=f"Port to listen on; {DEFAULT_PORT} if not given, 0: a free one.")
    ] = None,
    head_office: Annotated[str | None, typer.Option(help="Head office's address.")] = None,
    key: Annotated[str | None, typer.Option(help="Its key at head office.")] = None,
    database_url: Annotated[str | None, typer.Option(help="PostgreSQL to use.")] = None,
    lease_seconds: Annotated[float | None, typer.Option(help="How long a killed coordinator's transfers wait.")] = None,
    ask_again_seconds: Annotated[float | None, typer.Option(help="When to ask a silent site again, first.")] = None,
    log_level: Annotated[str | None, typer.Option(help="DEBUG, INFO, WARNING or ERROR.")] = None,
) -> None:
    """Run the coordinator until Ctrl-C."""
    from transfer_coordinator.main import serve as run_coordinator  # the server, which other commands do without

    flags: dict[str, Any] = {
        "host": host,
        "port": port,
        "head_office": head_office,
        "key": key,
        "database_url": database_url,
        "lease_seconds": lease_seconds,
        "ask_again_seconds": ask_again_seconds,
        "log_level": log_level,
    }
    raise typer.Exit(run_coordinator(settings_of(folder, **flags), typer.echo))


@app.command()
def create(
    *,
    source: Annotated[str, typer.Option(help="Where the goods are.")],
    destination: Annotated[str, typer.Option(help="Where they shall go.")],
    line: Annotated[list[str], typer.Option(metavar="ITEM=QUANTITY", help="Such as milk=2.5; once for each item.")],
    folder: Dir = None,
    transfer_id: Annotated[
        str | None, typer.Option(help="Its id, and the key of this command; made if not given.")
    ] = None,
    deadline: Annotated[
        str | None, typer.Option(help="RFC 3339 with offset: called back unless it arrived by then.")
    ] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Wait for the end, showing how it goes.")] = False,
    timeout: Annotated[float, typer.Option(help="Seconds to wait at most, with --wait.")] = 86_400.0,
    url: Url = None,
    key: Key = None,
    as_json: Json = False,
) -> None:
    """Move goods from one location to another. With --wait the exit code says whether they arrived."""
    body: dict[str, Any] = {
        "source": source,
        "destination": destination,
        "mode": "immediate",
        "lines": [_line(text) for text in line],
    }
    if deadline is not None:
        body["deadline"] = deadline
    with coordinator(folder, url, key) as reached:
        if transfer_id is not None or url is not None:
            name = transfer_id or str(IdFactory()(SystemClock().now()))
            document = reached.client.post("/v1/transfers", {**body, "transfer_id": name}, tries=4)
        else:
            document = _create_kept(reached, settings_of(folder).dir, body)
        if wait:
            document = _follow(reached, document, timeout)
    _answer(document, as_json)
    if wait and document["state"] != COMPLETED:
        raise typer.Exit(REFUSED)


def _create_kept(reached: Reached, folder: Path, body: dict[str, Any]) -> Any:
    with kept_id(folder, body, str(IdFactory()(SystemClock().now()))) as name:
        try:
            return reached.client.post("/v1/transfers", {**body, "transfer_id": name}, tries=4)
        except RemoteProblem:
            forget(folder, body)  # an answer: nothing was taken down
            raise


def _line(text: str) -> dict[str, str]:
    item_id, equals, quantity = text.rpartition("=")
    if not equals or not item_id or not quantity:
        raise typer.BadParameter(f"{text!r} is not ITEM=QUANTITY, such as milk=2.5", param_hint="--line")
    return {"item_id": item_id, "quantity": quantity}


def _follow(reached: Reached, document: Any, timeout: float) -> Any:
    """Show how it goes until it has ended, or the time is over."""
    clock = SystemClock()
    until = clock.monotonic() + timeout
    path = f"/v1/transfers/{quote(document['transfer_id'], safe='')}"
    console = Console(stderr=True, highlight=False)
    with console.status("") as status:
        while "ended_at" not in document and clock.monotonic() < until:
            status.update(f"[bold]{document['state']}[/] {escape(document['why'])}")
            reached.drive()
            document = reached.client.get(path, wait=max(0.0, min(reached.look_every, until - clock.monotonic())))
    return document


def _answer(document: Any, as_json: bool) -> None:
    if as_json:
        print_json(document)
        return
    print_line(f"[bold]{escape(document['transfer_id'])}[/] {document['state']}: {escape(document['why'])}")


@app.command()
def show(*, transfer: Name, folder: Dir = None, url: Url = None, key: Key = None, as_json: Json = False) -> None:
    """One transfer: where it stands and why, what the logs say of it, and its journal."""
    with coordinator(folder, url, key) as reached:
        document = reached.client.get(f"/v1/transfers/{quote(transfer, safe='')}")
    if as_json:
        print_json(document)
        return
    _answer(document, False)
    print_table(
        f"{document['source']} to {document['destination']}",
        ["Item", "Asked", "Sent", "Received", "Lost", "Unit"],
        [
            [each["item_id"], each["quantity"], each["sent"], each["received"], each["lost"], each["unit"]]
            for each in document["lines"]
        ],
        right=frozenset({"Asked", "Sent", "Received", "Lost"}),
    )
    print_table(
        "What the logs say",
        ["Location", "Event", "What", "Item", "Quantity", "Reason", "Occurred"],
        [
            [each["location_id"], each["sequence"], each["type"], each.get("item_id"), each.get("quantity"),
             each.get("reason"), moment(each["occurred_at"])]
            for each in document["facts"]
        ],
    )  # fmt: skip
    print_table(
        "Journal",
        ["At", "State", "Asked", "Token", "By", "Note"],
        [
            [moment(each["at"]), each["state"], each.get("asked"), each["token"], each["holder"], each.get("note")]
            for each in document["journal"]
        ],
    )


@app.command("list")
def list_transfers(
    *,
    state: Annotated[
        str | None, typer.Option(help="Only those in this state, such as IN_PENDING or UNADOPTABLE.")
    ] = None,
    location: Annotated[str | None, typer.Option(help="Only those from or to this location.")] = None,
    most: Annotated[int, typer.Option("--most", min=1, help="How many, the newest first.")] = 50,
    folder: Dir = None,
    url: Url = None,
    key: Key = None,
    as_json: Json = False,
) -> None:
    """Transfers, the newest first."""
    found: list[Any] = []
    after: str | None = None
    with coordinator(folder, url, key) as reached:
        while len(found) < most:
            page = reached.client.get(
                "/v1/transfers", state=state, location_id=location, after=after, limit=min(PAGE, most - len(found))
            )
            found += page["items"]
            after = page["next"]
            if after is None:
                break
    if as_json:
        print_json({"items": found, "next": after})
        return
    print_table(
        "Transfers",
        ["Transfer", "State", "From", "To", "Lines", "Created", "Look at", "Why"],
        [
            [each["transfer_id"], each["state"], each.get("source"), each.get("destination"),
             len(each.get("lines", ())) or None, moment(each.get("created_at")),
             each.get("conflict") or ("overdue" if each["overdue"] else None), each["why"]]
            for each in found
        ],
        right=frozenset({"Lines"}),
    )  # fmt: skip
    if after is not None:
        print_line(f"[dim]There are more: --most {most * 2}[/]")


@app.command()
def cancel(
    *,
    transfer: Name,
    wait: Annotated[bool, typer.Option("--wait", help="Wait for the end, showing how it goes.")] = False,
    timeout: Annotated[float, typer.Option(help="Seconds to wait at most, with --wait.")] = 86_400.0,
    folder: Dir = None,
    url: Url = None,
    key: Key = None,
    as_json: Json = False,
) -> None:
    """Call a transfer back, as long as nothing was received. With --wait the exit code says whether it came back."""
    with coordinator(folder, url, key) as reached:
        document = reached.client.post(f"/v1/transfers/{quote(transfer, safe='')}/cancel", {}, tries=4)
        if wait:
            document = _follow(reached, document, timeout)
    _answer(document, as_json)
    if wait and document["state"] not in {"REJECTED", "REVERSED"}:
        raise typer.Exit(REFUSED)
