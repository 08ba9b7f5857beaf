"""`larder head-office levels`: at which stock an item is to be reordered at a location, and how much."""

from __future__ import annotations

from typing import Annotated

import typer

from head_office.catalogue import location_levels, locations
from head_office.catalogue.location_levels import LevelChange, LocationLevel
from head_office.catalogue.purchases.purchase_files import LEVEL_COLUMNS_OF_FILE, read_level_rows
from head_office.catalogue.purchases.purchase_imports import import_levels
from head_office.cli.office_completion import complete_item, complete_location, complete_supplier
from head_office.cli.office_database import DatabaseUrl, Directory, read_all, transaction
from head_office.cli.purchases.file_import import CsvFile, DryRun, file_help, import_file
from shared.events import BadQuantity, parse_quantity, quantity_text
from shared.levels.level_record import ReorderLevelRecord, level_record
from shared.levels.reorder_levels import MAX_LEAD_DAYS, ReorderLevel
from shared.runtime.cli.arguments import figure
from shared.runtime.cli.output import AsJson, print_json, print_table, print_text

levels_app = typer.Typer(
    no_args_is_help=True, add_completion=False, help="Reorder levels of the locations: list, set, remove, import."
)

_Location = Annotated[str, typer.Argument(metavar="LOCATION", autocompletion=complete_location)]
_Item = Annotated[str, typer.Argument(metavar="ITEM", autocompletion=complete_item)]
_COLUMNS = ("item", "reorder at#", "up to#", "by#", "pack of#", "supplier", "days#")


@levels_app.command("list")
def list_levels(
    location_id: _Location, *, folder: Directory = None, database_url: DatabaseUrl = None, as_json: AsJson = False
) -> None:
    """The reorder levels of a location."""
    with transaction(folder, database_url) as connection:
        locations.read(connection, location_id)
        found: list[LocationLevel] = read_all(
            lambda after: location_levels.list_levels(connection, location_id, after), lambda each: each.item_id, ""
        )
    if as_json:
        print_json({"items": [_record(*each) for each in found], "next": None})
        return
    rows = [
        (
            item_id,
            quantity_text(level.reorder_point),
            _text(level.order_up_to),
            _text(level.order_quantity),
            _text(level.pack_size),
            level.supplier_id,
            level.lead_days,
        )
        for _, item_id, level in found
    ]
    print_table(f"Reorder levels of {location_id}", _COLUMNS, rows)


@levels_app.command("set")
def set_level(
    location_id: _Location,
    item_id: _Item,
    *,
    point: Annotated[
        str,
        typer.Option("--reorder-point", metavar="QUANTITY", help="Reorder at this stock or below, in the base unit."),
    ],
    up_to: Annotated[
        str | None,
        typer.Option("--order-up-to", metavar="QUANTITY", help="Up to which stock; above the reorder point."),
    ] = None,
    quantity: Annotated[
        str | None,
        typer.Option("--order-quantity", metavar="QUANTITY", help="Or: by this quantity, or a multiple of it."),
    ] = None,
    pack_size: Annotated[
        str | None, typer.Option("--pack-size", metavar="QUANTITY", help="Only whole packs of this size.")
    ] = None,
    supplier_id: Annotated[
        str | None, typer.Option("--supplier", help="The code of the supplier.", autocompletion=complete_supplier)
    ] = None,
    lead_days: Annotated[
        int | None,
        typer.Option("--lead-days", min=0, max=MAX_LEAD_DAYS, help="Days from the order to the delivery."),
    ] = None,
    folder: Directory = None,
    database_url: DatabaseUrl = None,
    as_json: AsJson = False,
) -> None:
    """Set the reorder level of an item at a location. Its branch receives it at its next contact."""
    level = ReorderLevel(
        reorder_point=_quantity("--reorder-point", point),
        order_up_to=None if up_to is None else _quantity("--order-up-to", up_to),
        order_quantity=None if quantity is None else _quantity("--order-quantity", quantity),
        supplier_id=supplier_id,
        pack_size=None if pack_size is None else _quantity("--pack-size", pack_size),
        lead_days=lead_days,
    )
    with transaction(folder, database_url) as connection:
        location_levels.put_levels(connection, [LevelChange(location_id, item_id, level)])
    if as_json:
        print_json(_record(location_id, item_id, level))
        return
    at = quantity_text(level.reorder_point)
    how = f"up to {_text(level.order_up_to)}" if level.order_up_to is not None else f"by {_text(level.order_quantity)}"
    print_text(f"{location_id}: {item_id} is reordered at {at}, {how}.")


@levels_app.command("remove")
def remove_level(
    location_id: _Location,
    item_id: _Item,
    *,
    folder: Directory = None,
    database_url: DatabaseUrl = None,
    as_json: AsJson = False,
) -> None:
    """Remove the reorder level of an item at a location. One that its branch has set itself acts again."""
    with transaction(folder, database_url) as connection:
        location_levels.put_levels(connection, [LevelChange(location_id, item_id, None)])
    if as_json:
        print_json({"location_id": location_id, "item_id": item_id, "reorder_point": None})
    else:
        print_text(f"{location_id}: {item_id} has no reorder level.")


@levels_app.command("import", help=file_help("Set reorder levels from a file; others stay.", LEVEL_COLUMNS_OF_FILE))
def import_levels_file(
    file: CsvFile,
    *,
    dry_run: DryRun = False,
    folder: Directory = None,
    database_url: DatabaseUrl = None,
    as_json: AsJson = False,
) -> None:
    """Set reorder levels from a CSV file. Twice does no harm."""
    import_file(
        *(file, LEVEL_COLUMNS_OF_FILE, read_level_rows, import_levels),
        folder=folder,
        database_url=database_url,
        dry_run=dry_run,
        as_json=as_json,
    )


def _record(location_id: str, item_id: str, level: ReorderLevel) -> ReorderLevelRecord:
    return level_record(item_id, level, location_id=location_id)


def _text(quantity: int | None) -> str | None:
    return None if quantity is None else quantity_text(quantity)


def _quantity(option: str, text: str) -> int:
    try:
        return parse_quantity(figure(text, option))
    except BadQuantity as error:
        raise typer.BadParameter(str(error), param_hint=option) from error
