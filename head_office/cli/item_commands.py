"""`larder head-office items`: the catalogue's items, import from a file, and items that branches defined."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from head_office.catalogue import item_proposals, items
from head_office.catalogue.item_files import import_items, read_items
from head_office.cli.office_completion import complete_branch_code, complete_item, complete_location
from head_office.cli.office_database import DatabaseUrl, Directory, office, read_all, transaction
from shared.catalogue_messages import CatalogueItem
from shared.runtime.cli.errors import REFUSED, CommandRefused
from shared.runtime.cli.output import AsJson, print_json, print_next, print_table, print_text
from shared.runtime.cli.progress import progress_bar
from shared.runtime.settings import command_line
from shared.runtime.text.csv_table import BadTable

items_app = typer.Typer(
    no_args_is_help=True, add_completion=False, help="Items of the group: list, add, import, waiting, accept, map."
)

SHOWN_REJECTS = 20


@items_app.command("list")
def list_items(*, folder: Directory = None, database_url: DatabaseUrl = None, as_json: AsJson = False) -> None:
    """The items of the catalogue."""
    with transaction(folder, database_url) as connection:
        found: list[CatalogueItem] = read_all(
            lambda after: items.list_items(connection, after), lambda each: each.item_id, ""
        )
    if as_json:
        print_json({"items": found, "next": None})
        return
    rows = [
        (each.item_id, each.name, each.unit, each.category, each.barcode, " ".join(each.strict_at)) for each in found
    ]
    print_table("Items", ("item", "name~", "unit", "category~", "barcode", "strict at~"), rows)


@items_app.command("add")
def add_item(
    item_id: Annotated[
        str, typer.Argument(metavar="ITEM", help="Its code, such as milk-whole.", autocompletion=complete_item)
    ],
    *,
    name: Annotated[str, typer.Option(help="What people call it.")],
    unit: Annotated[str, typer.Option(help="Its base unit; fixed after its first event.")],
    category: Annotated[str | None, typer.Option()] = None,
    barcode: Annotated[str | None, typer.Option()] = None,
    strict_at: Annotated[
        list[str] | None,
        typer.Option(help="A location where it may not go below zero.", autocompletion=complete_location),
    ] = None,
    folder: Directory = None,
    database_url: DatabaseUrl = None,
    as_json: AsJson = False,
) -> None:
    """Add an item, or change the one of that code."""
    for label, value, longest in (("ITEM", item_id, 64), ("--unit", unit, 64), ("--name", name, 1_000)):
        if not 1 <= len(value) <= longest:
            raise typer.BadParameter(f"1 to {longest} characters", param_hint=label)
    item = CatalogueItem(
        item_id=item_id, name=name, unit=unit, category=category, barcode=barcode, strict_at=tuple(strict_at or ())
    )
    with transaction(folder, database_url) as connection:
        (outcome,) = items.put(connection, [item])
    if as_json:
        print_json(item)
    else:
        print_text(f"{item_id}: {outcome}")


@items_app.command("import")
def import_file(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="CSV with item_id, name, unit, and category, barcode, strict_at.")
    ],
    *,
    folder: Directory = None,
    database_url: DatabaseUrl = None,
    as_json: AsJson = False,
) -> None:
    """Add and change items from a CSV file. Twice does no harm."""
    try:
        total = sum(1 for _ in read_items(file))
        with office(folder, database_url) as engine, progress_bar("Items", total) as advance:
            result = import_items(engine, read_items(file), advance)
    except BadTable as error:
        raise CommandRefused(str(error)) from error
    except OSError as error:
        raise CommandRefused(f"{file}: {error.strerror or error}") from error
    if as_json:
        rejects = [{"line": each.line, "reason": each.reason} for each in result.rejected]
        print_json(
            {
                "added": result.added,
                "changed": result.changed,
                "unchanged": result.unchanged,
                "rejected": rejects,
            }
        )
    else:
        print_text(f"{result.added} added, {result.changed} changed, {result.unchanged} as they were.")
        for each in result.rejected[:SHOWN_REJECTS]:
            print_text(f"line {each.line}: {each.reason}", err=True)
        if len(result.rejected) > SHOWN_REJECTS:
            print_text(f"and {len(result.rejected) - SHOWN_REJECTS} more; --json lists all of them", err=True)
    if result.rejected:
        raise typer.Exit(REFUSED)


@items_app.command("waiting")
def list_waiting(*, folder: Directory = None, database_url: DatabaseUrl = None, as_json: AsJson = False) -> None:
    """Codes of branches that are neither items of the group nor mapped to one, each of its branch alone."""
    with transaction(folder, database_url) as connection:
        found: list[item_proposals.ItemProposal] = read_all(
            lambda after: item_proposals.list_waiting(connection, after),
            lambda each: (each.location_id, each.item_id),
            ("", ""),
        )
    if as_json:
        rows = [{"location_id": each.location_id, "item_id": each.item_id, **_defined(each)} for each in found]
        print_json({"items": rows, "next": None})
        return
    shown = [(each.location_id, each.item_id, each.name, each.unit) for each in found]
    print_table("Items that wait", ("location", "item", "name~", "unit"), shown)
    if found:
        first = found[0]
        print_next(
            command_line("head-office", "items", "accept", first.location_id, first.item_id, *_name_wanted(first)),
            command_line("head-office", "items", "map", first.location_id, first.item_id, "ITEM-OF-THE-GROUP"),
        )


def _name_wanted(each: item_proposals.ItemProposal) -> tuple[str, ...]:
    return ("--name", "NAME") if each.name is None else ()


def _defined(each: item_proposals.ItemProposal) -> dict[str, object]:
    return {
        "name": each.name,
        "unit": each.unit,
        "category": each.category,
        "barcode": each.barcode,
        "strict": each.strict,
    }


@items_app.command("accept")
def accept(
    location_id: Annotated[str, typer.Argument(metavar="LOCATION", autocompletion=complete_location)],
    item_id: Annotated[str, typer.Argument(metavar="ITEM", autocompletion=complete_branch_code)],
    *,
    name: Annotated[str | None, typer.Option(help="Its name; needed where the branch gave it none.")] = None,
    folder: Directory = None,
    database_url: DatabaseUrl = None,
    as_json: AsJson = False,
) -> None:
    """Make a branch's item one of the group."""
    with transaction(folder, database_url) as connection:
        item = item_proposals.accept(connection, location_id, item_id, name)
    if as_json:
        print_json(item)
    else:
        print_text(f"{item_id} ({item.name}, {item.unit}) is an item of the group.")


@items_app.command("map")
def map_to(
    location_id: Annotated[str, typer.Argument(metavar="LOCATION", autocompletion=complete_location)],
    alias: Annotated[
        str, typer.Argument(metavar="ITEM", help="The branch's own item.", autocompletion=complete_branch_code)
    ],
    item_id: Annotated[str, typer.Argument(metavar="ITEM-OF-THE-GROUP", autocompletion=complete_item)],
    *,
    folder: Directory = None,
    database_url: DatabaseUrl = None,
    as_json: AsJson = False,
) -> None:
    """Map a branch's own item to an item of the group."""
    with transaction(folder, database_url) as connection:
        made = item_proposals.map_to(connection, location_id, alias, item_id)
    if as_json:
        print_json({"location_id": made.location_id, "alias": made.alias, "item_id": made.item_id})
    else:
        print_text(f"At {location_id}, {alias} is {item_id}.")
