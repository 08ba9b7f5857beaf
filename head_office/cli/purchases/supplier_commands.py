"""`larder head-office suppliers`: whom the group buys from."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
import typer

from head_office.catalogue.purchases import group_suppliers
from head_office.catalogue.purchases.purchase_files import SUPPLIER_COLUMNS, read_supplier_rows
from head_office.catalogue.purchases.purchase_imports import import_suppliers
from head_office.cli.office_completion import complete_supplier
from head_office.cli.office_database import DatabaseUrl, Directory, read_all, transaction
from head_office.cli.purchases.file_import import CsvFile, DryRun, file_help, import_file
from shared.levels.reorder_levels import MAX_LEAD_DAYS
from shared.purchases.suppliers import Supplier, supplier_record
from shared.runtime.cli.output import AsJson, print_json, print_table, print_text
from shared.runtime.cli.service_app import command_group

suppliers_app: Final = command_group("Suppliers of the group: list, show, set, remove, import.")

_Supplier = Annotated[str, typer.Argument(metavar="SUPPLIER", autocompletion=complete_supplier)]


@suppliers_app.command("list")
def list_all(*, folder: Directory = None, database_url: DatabaseUrl = None, as_json: AsJson = False) -> None:
    """The suppliers of the group."""
    with transaction(folder, database_url) as connection:
        found: list[Supplier] = read_all(
            lambda after: group_suppliers.list_suppliers(connection, after), lambda each: each.supplier_id, ""
        )
    if as_json:
        print_json({"items": [supplier_record(each) for each in found], "next": None})
        return
    rows = [(each.supplier_id, each.name, each.email, each.lead_days) for each in found]
    print_table("Suppliers", ("supplier", "name~", "mail~", "days#"), rows)


@suppliers_app.command("show")
def show(
    supplier_id: _Supplier, *, folder: Directory = None, database_url: DatabaseUrl = None, as_json: AsJson = False
) -> None:
    """One supplier."""
    with transaction(folder, database_url) as connection:
        supplier = group_suppliers.read_supplier(connection, supplier_id)
    _print(supplier, as_json=as_json)


@suppliers_app.command("set")
def set_supplier(
    supplier_id: _Supplier,
    *,
    name: Annotated[str | None, typer.Option("--name", help="What people call it; needed for a new one.")] = None,
    email: Annotated[str | None, typer.Option("--email", help="Where orders are sent; an empty text for none.")] = None,
    lead_days: Annotated[
        int | None, typer.Option("--lead-days", min=0, max=MAX_LEAD_DAYS, help="Days from the order to the delivery.")
    ] = None,
    no_lead_days: Annotated[bool, typer.Option("--no-lead-days", help="It is not known how many.")] = False,
    folder: Directory = None,
    database_url: DatabaseUrl = None,
    as_json: AsJson = False,
) -> None:
    """Add a supplier, or change the one of that code; what is not given stays. Every branch receives it."""
    if no_lead_days and lead_days is not None:
        raise typer.BadParameter("give --lead-days or --no-lead-days", param_hint="--no-lead-days")
    with transaction(folder, database_url) as connection:
        before = group_suppliers.locked_supplier(connection, supplier_id)
        if before is None and name is None:
            raise typer.BadParameter(f"there is no supplier {supplier_id} yet: give it a name", param_hint="--name")
        supplier = before or Supplier(supplier_id=supplier_id, name="")
        given = {
            "name": name,
            "email": email,
            "lead_days": lead_days,
        }
        said: dict[str, object] = {key: value for key, value in given.items() if value is not None}
        if email == "":
            said["email"] = None
        if no_lead_days:
            said["lead_days"] = None
        supplier = msgspec.structs.replace(supplier, **said)
        group_suppliers.put_suppliers(connection, [supplier])
    _print(supplier, as_json=as_json)


@suppliers_app.command("remove")
def remove(
    supplier_id: _Supplier, *, folder: Directory = None, database_url: DatabaseUrl = None, as_json: AsJson = False
) -> None:
    """Remove a supplier to whom no order is open. Reorder levels keep its code."""
    with transaction(folder, database_url) as connection:
        group_suppliers.remove_supplier(connection, supplier_id)
    if as_json:
        print_json({"supplier_id": supplier_id, "removed": True})
    else:
        print_text(f"{supplier_id} is no supplier any more.")


@suppliers_app.command("import", help=file_help("Add and change suppliers from a file.", SUPPLIER_COLUMNS))
def import_suppliers_file(
    file: CsvFile,
    *,
    dry_run: DryRun = False,
    folder: Directory = None,
    database_url: DatabaseUrl = None,
    as_json: AsJson = False,
) -> None:
    """Add and change suppliers from a CSV file. Twice does no harm."""
    import_file(
        *(file, SUPPLIER_COLUMNS, read_supplier_rows, import_suppliers),
        folder=folder,
        database_url=database_url,
        dry_run=dry_run,
        as_json=as_json,
    )


def _print(supplier: Supplier, *, as_json: bool) -> None:
    if as_json:
        print_json(supplier_record(supplier))
        return
    days = None if supplier.lead_days is None else f"delivers in {supplier.lead_days} days"
    said = ", ".join(each for each in (supplier.name, supplier.email, days) if each is not None)
    print_text(f"{supplier.supplier_id}: {said}")
