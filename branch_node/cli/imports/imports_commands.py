"""`larder branch imports list`, `show` and `undo`."""

from __future__ import annotations

from typing import Annotated, Any, Final
from urllib.parse import quote
from zoneinfo import ZoneInfo

import typer
from rich.markup import escape

from branch_node.cli.node_client import Directory, node_at, node_command, zone_of
from shared.runtime.cli.output import (
    AsJson,
    local_time,
    number,
    number_of,
    print_json,
    print_line,
    print_next,
    print_table,
    short_time,
)
from shared.runtime.cli.service_app import command_group
from shared.runtime.cli.service_client import read_items

imports_app: Final = command_group("The imports of files: list them, show one, undo one.")

TRIES: Final = 3

_Import = Annotated[str, typer.Argument(metavar="IMPORT_ID", help="As 'larder branch imports list' shows it.")]


@imports_app.command("list")
def list_imports(directory: Directory = None, as_json: AsJson = False) -> None:
    """List the imports, the newest first: by file, rows, who and when."""
    with node_at(directory) as node:
        found = list(read_items(node, "/v1/imports"))
        zone = zone_of(node)
    if as_json:
        print_json({"items": found, "next": None})
        return
    rows = [
        (
            each["import_id"],
            each["file"],
            each["source"],
            each["rows"],
            each["recorded"],
            short_time(each["imported_at"], zone),
            each["actor"],
            each["state"],
        )
        for each in found
    ]
    columns = ("import", "~file", "source", "rows#", "events#", "imported", "actor", "state")
    print_table(f"Imports ({zone.key})", columns, rows, empty="Nothing was imported yet.")


@imports_app.command()
def show(import_id: _Import, directory: Directory = None, as_json: AsJson = False) -> None:
    """Show one import, and what stands in the log because of it."""
    with node_at(directory) as node:
        found = node.get(_path(import_id))
        zone = zone_of(node)
    if as_json:
        print_json(found)
    else:
        _print_import(found, zone)


@imports_app.command()
def undo(
    import_id: _Import,
    *,
    reason: Annotated[str | None, typer.Option(help="Why, as a code: wrong-file, wrong-map …")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do it; without, nothing is changed.")] = False,
    directory: Directory = None,
    as_json: AsJson = False,
) -> None:
    """Void all events of an import that still stand; without --yes show what they are.

    It may be cut off and run again. Afterwards the file can be imported again, with a mended map.
    """
    voided = 0
    with node_at(directory) as node:
        found, zone, more = node.get(_path(import_id)), zone_of(node), yes
        body = {} if reason is None else {"reason": reason}
        while more:
            answer = node.post(f"{_path(import_id)}/undo", body, tries=TRIES)
            voided, more = voided + answer["voided"], answer["more"]
            found["state"] = answer["state"]
    if as_json:
        print_json({"import_id": import_id, "voided": voided, "state": found["state"]})
        return
    if yes:
        print_line(f"{number_of(voided, 'event')} of {escape(found['file'])} voided; it can be imported again.")
        return
    _print_import(found, zone)
    if found["by_type"]:
        print_next(f"{node_command(directory, 'imports', 'undo', import_id, '--yes')}   # voids all of these")


def _path(import_id: str) -> str:
    return f"/v1/imports/{quote(import_id, safe='')}"


def _print_import(found: dict[str, Any], zone: ZoneInfo) -> None:
    rows = [
        ("File", found["file"]),
        ("From", found["source"]),
        ("Imported", f"{local_time(found['imported_at'], zone)} by {found['actor']}"),
        ("State", found["state"]),
        ("Rows", number(found["rows"])),
        ("Events recorded", number(found["recorded"])),
        ("Rejected", number(found["rejected"])),
        ("In conflict", number(found["conflicting"])),
    ]
    print_table(f"Import {found['import_id']}", ("", ""), rows)
    print_table(
        "What stands in the log because of it",
        ("type", "events#", "quantity#"),
        [(kind, each["events"], each["quantity"]) for kind, each in found["by_type"].items()],
        empty="Nothing of it stands in the log.",
    )
