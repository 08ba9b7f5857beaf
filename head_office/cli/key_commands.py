"""`larder head-office keys`."""

from __future__ import annotations

from typing import Annotated

import typer

from head_office.catalogue import api_keys
from head_office.catalogue.api_keys import key_record
from head_office.cli.office_completion import complete_location
from head_office.cli.office_database import DatabaseUrl, Directory, office_address, read_all, transaction
from shared.runtime.cli.arguments import duration
from shared.runtime.cli.output import UTC, AsJson, print_json, print_next, print_table, print_text, short_time
from shared.runtime.http.scopes import Role, Scope
from shared.runtime.settings import command_line

keys_app = typer.Typer(
    no_args_is_help=True, add_completion=False, help="API keys of the whole group: list, add, rotate, revoke."
)


@keys_app.command("list")
def list_keys(folder: Directory = None, database_url: DatabaseUrl = None, as_json: AsJson = False) -> None:
    """The keys that were issued, revoked ones included. Their texts are kept nowhere."""
    with transaction(folder, database_url) as connection:
        found: list[api_keys.Key] = read_all(
            lambda after: api_keys.list_keys(connection, after), lambda each: each.key_id, ""
        )
    shown = [key_record(each) for each in found]
    if as_json:
        print_json({"items": shown, "next": None})
        return
    rows = [
        (
            each.key_id,
            " + ".join((each.role, *each.scopes)),
            each.location_id,
            each.label,
            short_time(each.issued_at, UTC),
            short_time(each.last_used_at, UTC),
            short_time(each.revoked_at, UTC),
        )
        for each in shown
    ]
    print_table(
        "Keys, times in UTC", ("key id", "role", "location", "label~", "issued@", "last used@", "revoked@"), rows
    )


@keys_app.command("add")
def add_key(
    *,
    role: Annotated[Role, typer.Option(help="What the key may do.", case_sensitive=False)],
    location: Annotated[
        str | None,
        typer.Option(help="The only location it is for; a branch's key needs one.", autocompletion=complete_location),
    ] = None,
    label: Annotated[str | None, typer.Option(help="Whose it is, for the list.")] = None,
    scopes: Annotated[
        list[Scope] | None,
        typer.Option("--scope", help="A scope beyond those of the role: restock, for an integration.", metavar="SCOPE"),
    ] = None,
    folder: Directory = None,
    database_url: DatabaseUrl = None,
    as_json: AsJson = False,
) -> None:
    """Issue a key, and print it, once."""
    with transaction(folder, database_url) as connection:
        made = api_keys.issue(connection, role, location, label, scopes or ())
    if as_json:
        added = sorted(set(scopes or ()))
        out = {"key_id": made.key_id, "key": made.text, "role": role.value, "location_id": location, "scopes": added}
        print_json(out)
        return
    print_text(f"A key with the role {role}, shown this once:\n\n  {made.text}")
    if role is Role.COORDINATOR:
        print_next(
            command_line(
                "transfer",
                "init",
                "--dir",
                "DIR",
                "--head-office",
                office_address(folder, database_url),
                "--key",
                made.text,
            ),
            command_line("transfer", "serve", "--dir", "DIR", "--port", 8001),
        )


@keys_app.command("revoke")
def revoke_key(
    key_id: Annotated[str, typer.Argument(metavar="KEY_ID", help="The id, the part of the key after lk_.")],
    folder: Directory = None,
    database_url: DatabaseUrl = None,
    as_json: AsJson = False,
) -> None:
    """Revoke a key, permanently. Branches receive the revocation at their next contact."""
    with transaction(folder, database_url) as connection:
        revoked = key_record(api_keys.revoke(connection, key_id))
    if as_json:
        print_json(revoked)
    else:
        print_text(f"{key_id} ({revoked.role}) is revoked since {revoked.revoked_at}")


@keys_app.command("rotate")
def rotate_key(
    key_id: Annotated[str, typer.Argument(metavar="KEY_ID", help="The id, the part of the key after lk_.")],
    overlap: Annotated[
        str, typer.Option(help="How long the text until now stays good: 24h, 30m, 7d; 0: not at all.")
    ] = "24h",
    folder: Directory = None,
    database_url: DatabaseUrl = None,
    as_json: AsJson = False,
) -> None:
    """Give a key another text, and print it, once. The text until now stays good for the overlap."""
    seconds = duration(overlap, "--overlap")
    with transaction(folder, database_url) as connection:
        made, key = api_keys.rotate(connection, key_id, seconds)
    until = key_record(key).previous_until
    if as_json:
        print_json({"key_id": made.key_id, "key": made.text, "previous_until": until})
        return
    print_text(f"The new text of {key_id}, shown this once:\n\n  {made.text}")
    print_text("No text before it is good any more." if until is None else f"The text before it is good until {until}.")
