"""`larder head-office report purchasing`: what to order, on the terminal, as JSON or as a file."""

from __future__ import annotations

import sys
from itertools import groupby
from pathlib import Path
from typing import Annotated, Final

import msgspec
import typer
from rich.markup import escape
from sqlalchemy import Connection

from head_office.catalogue.locations import check_locations, list_locations
from head_office.catalogue.purchases.group_suppliers import unknown_supplier
from head_office.catalogue.purchases.purchase_history import suppliers_known
from head_office.cli.office_completion import complete_location
from head_office.cli.office_database import DatabaseUrl, Directory, read_all, report
from head_office.cli.stock_commands import AsOfOption, KnownAt
from head_office.reports.known_at import SettledMoment
from head_office.reports.mornings.morning_list import checked_date
from head_office.reports.mornings.morning_report import morning_report
from head_office.reports.purchasing.files.rendered_report import FileFormat, render
from head_office.reports.purchasing.purchasing_json import purchasing_parts, tenths_text
from head_office.reports.purchasing.purchasing_records import (
    DEFAULT_WINDOW_DAYS,
    MAX_WINDOW_DAYS,
    LocationState,
    PurchasingLocation,
    PurchasingReport,
    PurchasingRow,
)
from head_office.reports.purchasing.purchasing_report import purchasing_report
from head_office.reports.report_moments import as_of_at
from shared.event_record import moment_text
from shared.events import quantity_text
from shared.runtime.business_days import read_asked
from shared.runtime.cli.output import (
    UTC,
    AsJson,
    local_time,
    number_of,
    print_line,
    print_next,
    print_table,
    print_text,
)
from shared.runtime.cli.progress import progress_bar
from shared.runtime.clock import LATEST, parse_rfc3339

COLUMNS: Final = ("item", "location", "available#", "coming#", "to order#", "unit", "packs#", "days left#", "flags~")
CHANGE_COLUMNS: Final = ("item", "location", "what", "was~", "is~")


def purchasing_report_listing(
    *,
    location: Annotated[
        list[str] | None,
        typer.Option("--location", help="These locations only.", autocompletion=complete_location),
    ] = None,
    supplier: Annotated[
        str | None, typer.Option("--supplier", metavar="SUPPLIER", help="Show what this supplier delivers alone.")
    ] = None,
    date: Annotated[
        str | None,
        typer.Option(
            metavar="DATE",
            help="As it was made on the morning of this date; with --known-at by what was known then, and the changes.",
        ),
    ] = None,
    as_of: AsOfOption = None,
    known_at: KnownAt = None,
    window_days: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=MAX_WINDOW_DAYS,
            help=f"How many business dates say how much is used a day; {DEFAULT_WINDOW_DAYS} if left out, or those of "
            "the morning.",
        ),
    ] = None,
    all_rows: Annotated[bool, typer.Option("--all", help="Also what does not have to be ordered.")] = False,
    file_format: Annotated[
        FileFormat | None, typer.Option("--format", help="Write a file of this format, to --output.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", help="The file to write; a file that is there is replaced.")
    ] = None,
    folder: Directory = None,
    database_url: DatabaseUrl = None,
    as_json: AsJson = False,
) -> None:
    """What to order for each location, by supplier: available, coming by transfers and orders, to order, days left."""
    if (file_format is None) is not (output is None):
        raise typer.BadParameter("give --format and --output together", param_hint="--output")
    if as_json and file_format is not None:
        raise typer.BadParameter("give one of the two", param_hint="--json")
    if supplier is not None and (as_json or file_format is not None):
        raise typer.BadParameter("a file and JSON have every supplier: leave it out", param_hint="--supplier")
    if date is not None and as_of is not None:
        raise typer.BadParameter("a report of a date is as of its morning", param_hint="--as-of")
    known = None if known_at is None else _moment(known_at)
    # A moment in the future is settled as now.
    with report(folder, database_url, LATEST - 1 if known is None and date is None else known) as (connection, settled):
        if date is not None:
            found = _read_morning(connection, date, settled, location, window_days, all_rows=all_rows)
        elif settled is not None:
            days = DEFAULT_WINDOW_DAYS if window_days is None else window_days
            found = _read(connection, settled, location, as_of, days, given=known is not None, all_rows=all_rows)
        else:
            raise AssertionError("a report known at a moment has a settled one")
        if supplier is not None:
            _check_supplier(connection, found, supplier)
    if as_json:
        for part in purchasing_parts(found):
            sys.stdout.write(part.decode())
        sys.stdout.write("\n")
    elif file_format is not None and output is not None:
        _write(found, file_format, output)
    else:
        _show(found, supplier)


def _moment(text: str) -> int:
    try:
        return parse_rfc3339(text)[0]
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--known-at") from error


def _read(
    connection: Connection,
    settled: SettledMoment,
    location_ids: list[str] | None,
    as_of: str | None,
    window_days: int,
    *,
    given: bool,
    all_rows: bool,
) -> PurchasingReport:
    with progress_bar("Locations", _number_of_locations(connection, location_ids)) as advance:
        return purchasing_report(
            connection,
            location_ids=location_ids or None,
            as_of=as_of_at(connection, None if as_of is None else read_asked(as_of), None, settled),
            known_at=settled,
            given=given,
            window_days=window_days,
            all_rows=all_rows,
            advance=advance,
        )


def _read_morning(
    connection: Connection,
    date: str,
    settled: SettledMoment | None,
    location_ids: list[str] | None,
    window_days: int | None,
    *,
    all_rows: bool,
) -> PurchasingReport:
    with progress_bar("Locations", _number_of_locations(connection, location_ids)) as advance:
        return morning_report(
            connection,
            date=checked_date("--date", date) or date,
            location_ids=location_ids or None,
            known_at=settled,
            window_days=window_days,
            all_rows=all_rows,
            advance=advance,
        )


def _check_supplier(connection: Connection, found: PurchasingReport, supplier: str) -> None:
    """Raise Problem 422 `unknown-supplier` for one that is neither in the report nor known; a level may name any."""
    if supplier not in suppliers_known(connection, None) and all(row.supplier_id != supplier for row in found.rows):
        raise unknown_supplier(connection, supplier)


def _number_of_locations(connection: Connection, location_ids: list[str] | None) -> int:
    """How many locations the report is of. Raises Problem 422 `unknown-location`."""
    if location_ids:
        check_locations(connection, location_ids)
        return len(set(location_ids))
    return len(read_all(lambda after: list_locations(connection, after=after), lambda each: each.location_id, ""))


def _write(found: PurchasingReport, file_format: FileFormat, output: Path) -> None:
    try:
        with output.open("wb") as file:
            for part in render(found, file_format).content:
                file.write(part)
    except OSError as error:
        raise typer.BadParameter(f"it cannot be written: {error.strerror}", param_hint="--output") from error
    print_text(f"{output}: {number_of(len(found.rows), 'row')}.")


def _show(found: PurchasingReport, supplier: str | None) -> None:
    at = found.locations[0].known_at if found.locations else None
    known = "" if at is None else f", as known at {local_time(moment_text(at), UTC)}"
    print_line(f"[bold]What to order{escape(known)}[/]")
    for each in found.locations:
        if each.state is not LocationState.FRESH:
            print_line(_worry(each))
    shown = 0
    rows = (row for row in found.rows if supplier is None or row.supplier_id == supplier)
    for (supplier_id, name), theirs in groupby(rows, lambda row: (row.supplier_id, row.supplier_name)):
        several = [_cells(row) for row in theirs]
        shown += len(several)
        typer.echo()
        print_table(_heading(supplier_id, name), COLUMNS, several)
    if not shown:
        print_line(f"[dim]{escape(_nothing(found, supplier))}[/]")
        if found.locations and not found.rows and supplier is None:
            print_next("larder head-office levels list", "larder head-office report purchasing --all")
    if found.changes is not None:
        typer.echo()
        changes = [
            (each.item_id, each.location_id, each.field, _said(each.was), _said(each.is_now)) for each in found.changes
        ]
        print_table(
            "Changed since that morning", CHANGE_COLUMNS, changes, empty="Nothing has changed since that morning."
        )


def _nothing(found: PurchasingReport, supplier: str | None) -> str:
    if not found.locations or all(each.freshness.sequence == 0 for each in found.locations):
        return "Nothing was known of any of these locations then."
    return "Nothing has to be ordered" + ("." if supplier is None else f" from {supplier}.")


def _said(value: msgspec.Raw) -> str:
    decoded = msgspec.json.decode(value)
    return decoded if isinstance(decoded, str) else bytes(value).decode()


def _heading(supplier_id: str | None, name: str | None) -> str:
    if supplier_id is None:
        return "Without a supplier"
    return supplier_id if name is None else f"{name} ({supplier_id})"


def _worry(location: PurchasingLocation) -> str:
    found = location.freshness
    if location.state is LocationState.BLIND:
        last = found.last_contact_at
        heard = "never" if last is None else f"last {local_time(moment_text(last), UTC)}"
        why = f"no call for 24 hours ({heard})"
        return f"[bold red]BLIND[/] {escape(location.location_id)}: {escape(why)}"
    reasons = [
        *([f"{number_of(found.quarantined, 'event')} in quarantine"] if found.quarantined else []),
        *([f"{number_of(found.behind, 'event')} not here yet"] if found.behind else []),
    ]
    why = ", ".join(reasons) or f"verdict {found.verdict or 'not OK'}"
    return f"[bold yellow]INCOMPLETE[/] {escape(location.location_id)}: {escape(why)}"


def _cells(row: PurchasingRow) -> tuple[object, ...]:
    return (
        row.item_id,
        row.location_id,
        quantity_text(row.available),
        quantity_text(row.in_transit + row.on_order),
        quantity_text(row.to_order),
        row.unit,
        row.packs,
        None if row.days_left is None else tenths_text(row.days_left),
        " ".join(row.flags),
    )
