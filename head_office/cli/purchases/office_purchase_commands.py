"""`larder head-office purchase-orders`: what was ordered from suppliers, and what of it was delivered."""

from __future__ import annotations

import re
from collections.abc import Sequence
from hashlib import sha256
from typing import Annotated, Any, Final

import msgspec
import typer
from sqlalchemy import Connection

from head_office.catalogue.items import check_seen
from head_office.catalogue.locations import check_locations
from head_office.catalogue.purchases.purchase_files import ORDER_COLUMNS, read_order_rows
from head_office.catalogue.purchases.purchase_imports import import_orders
from head_office.catalogue.purchases.purchase_order_bodies import (
    PurchaseOrderBody,
    PurchaseOrderChangeBody,
    PurchaseOrderClosingBody,
)
from head_office.catalogue.purchases.purchase_order_changes import (
    change_order,
    close_order,
    locked_order,
    make_orders,
    read_order,
)
from head_office.cli.office_completion import (
    complete_item,
    complete_location,
    complete_purchase_order,
    complete_supplier,
)
from head_office.cli.office_database import DatabaseUrl, Directory, report, transaction
from head_office.cli.purchases.file_import import CsvFile, DryRun, file_help, import_file
from head_office.reports.purchasing.purchase_order_search import (
    GroupOrderFilter,
    purchase_order_records,
    search_purchase_orders,
)
from shared.purchases.purchase_order_record import PurchaseOrderLineRecord, PurchaseOrderRecord
from shared.purchases.purchase_orders import PurchaseOrder, PurchaseOrderState
from shared.runtime.cli.arguments import figure, item_lines
from shared.runtime.cli.output import (
    UTC,
    AsJson,
    print_json,
    print_line,
    print_next,
    print_table,
    print_text,
    short_time,
)
from shared.runtime.cli.service_app import command_group
from shared.runtime.http.cursor import Cursor, page_of
from shared.runtime.http.strict_json import CheckedDecoder
from shared.runtime.settings import command_line

purchase_orders_app: Final = command_group("Orders to suppliers: list, show, create, change, close, import.")

_BY_ID: Final[Cursor[str]] = Cursor(str)
_MAX_BYTES: Final = 4 * 1024 * 1024
_COST: Final = re.compile(r"(?P<quantity>[^@]*)@\s*(?P<amount>[0-9.,]+)\s*(?P<currency>[A-Za-z]{3})\s*")
LINES_SHOWN: Final = 3

_Order = Annotated[str, typer.Argument(metavar="ORDER", autocompletion=complete_purchase_order)]

_new_body: Final = CheckedDecoder(PurchaseOrderBody, max_bytes=_MAX_BYTES)
_change_body: Final = CheckedDecoder(PurchaseOrderChangeBody, max_bytes=_MAX_BYTES)
_closing_body: Final = CheckedDecoder(PurchaseOrderClosingBody, max_bytes=_MAX_BYTES)


@purchase_orders_app.command("list")
def list_orders_to_suppliers(
    *,
    location: Annotated[
        str | None, typer.Option("--location", help="For this location only.", autocompletion=complete_location)
    ] = None,
    supplier: Annotated[
        str | None, typer.Option("--supplier", help="To this supplier only.", autocompletion=complete_supplier)
    ] = None,
    item: Annotated[
        str | None,
        typer.Option("--item", help="With this item only, by any of its codes.", autocompletion=complete_item),
    ] = None,
    state: Annotated[
        PurchaseOrderState | None, typer.Option("--state", case_sensitive=False, help="In this state only.")
    ] = None,
    after: Annotated[str | None, typer.Option("--after", help="`next` of the page before.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1_000, help="How many orders at most.")] = 100,
    folder: Directory = None,
    database_url: DatabaseUrl = None,
    as_json: AsJson = False,
) -> None:
    """Orders to suppliers by id. OPEN: something is still to come."""
    with report(folder, database_url, None) as (connection, _):
        if location is not None:
            check_locations(connection, [location])
        if item is not None:
            check_seen(connection, item)
        wanted = GroupOrderFilter(location_id=location, supplier_id=supplier, item_id=item, state=state)
        beginning = _BY_ID.read(after) or ""
        found = search_purchase_orders(connection, wanted, after=beginning, limit=limit + 1)
    page, following = page_of(found, limit, lambda last: _BY_ID.write(last.purchase_order_id))
    if as_json:
        print_json({"items": page, "next": following})
        return
    print_table(
        "Orders to suppliers",
        ("order", "location", "supplier", "state", "due", "still to come~"),
        [
            (*(each.purchase_order_id, each.location_id, each.supplier_id, each.state.value, each.due), _coming(each))
            for each in page
        ],
    )
    if following is not None:
        given = {"--location": location, "--supplier": supplier, "--item": item, "--state": state, "--after": following}
        words = [word for name, value in given.items() if value is not None for word in (name, str(value))]
        print_next(command_line("head-office", "purchase-orders", "list", *words, "--limit", str(limit)))


@purchase_orders_app.command("show")
def show_order(
    purchase_order_id: _Order,
    *,
    folder: Directory = None,
    database_url: DatabaseUrl = None,
    as_json: AsJson = False,
) -> None:
    """One order to a supplier, line by line, with what was delivered."""
    with report(folder, database_url, None) as (connection, _):
        record = _record(connection, read_order(connection, purchase_order_id))
    _print(record, as_json=as_json)


@purchase_orders_app.command("create")
def create(
    *,
    location: Annotated[
        str, typer.Option("--location", help="Where it is to be delivered.", autocompletion=complete_location)
    ],
    supplier: Annotated[str, typer.Option("--supplier", help="From whom.", autocompletion=complete_supplier)],
    line: Annotated[
        list[str],
        typer.Option(
            "--line",
            metavar="ITEM=QUANTITY[@COST CURRENCY]",
            help="An item, how much of it in its base unit, and what the line costs, such as 'milk=24@30.00 USD'.",
        ),
    ],
    due: Annotated[str | None, typer.Option("--due", metavar="DATE", help="When it is due, as 2026-12-01.")] = None,
    note: Annotated[str | None, typer.Option("--note")] = None,
    purchase_order_id: Annotated[
        str | None, typer.Option("--id", help="Its id, such as your own number; else the next one, as PO-000001.")
    ] = None,
    key: Annotated[str | None, typer.Option("--key", help="Given again with the same key, it is ordered once.")] = None,
    folder: Directory = None,
    database_url: DatabaseUrl = None,
    as_json: AsJson = False,
) -> None:
    """Order from a supplier. The location's branch receives the order at its next contact."""
    said: dict[str, Any] = {"location_id": location, "supplier_id": supplier, "lines": _lines(line)}
    said |= {"purchase_order_id": purchase_order_id, "due": due, "note": note}
    new = _new_body(msgspec.json.encode(said)).new_order(_key(key))
    with transaction(folder, database_url) as connection:
        ((order, _),) = make_orders(connection, [new])
        record = _record(connection, order)
    _print(record, as_json=as_json)


@purchase_orders_app.command("change")
def change(
    purchase_order_id: _Order,
    *,
    due: Annotated[
        str | None, typer.Option("--due", metavar="DATE", help="As 2026-12-01; an empty text: none.")
    ] = None,
    note: Annotated[str | None, typer.Option("--note", help="An empty text: none.")] = None,
    folder: Directory = None,
    database_url: DatabaseUrl = None,
    as_json: AsJson = False,
) -> None:
    """Change when an order is due, or its note. What is not given stays."""
    said = {name: value or None for name, value in (("due", due), ("note", note)) if value is not None}
    body = _change_body(msgspec.json.encode(said))
    with transaction(folder, database_url) as connection:
        order = locked_order(connection, purchase_order_id)
        record = _record(connection, change_order(connection, order, due=body.due, note=body.note))
    _print(record, as_json=as_json)


@purchase_orders_app.command("close")
def close(
    purchase_order_id: _Order,
    *,
    line: Annotated[
        list[int] | None, typer.Option("--line", metavar="NUMBER", help="This line only; may be given again.")
    ] = None,
    reason: Annotated[str | None, typer.Option("--reason", help="Why the rest does not come.")] = None,
    folder: Directory = None,
    database_url: DatabaseUrl = None,
    as_json: AsJson = False,
) -> None:
    """Wait for nothing more of an order, or of some of its lines."""
    body = _closing_body(msgspec.json.encode({"lines": line or None, "reason": reason}))
    with transaction(folder, database_url) as connection:
        order = locked_order(connection, purchase_order_id)
        record = _record(connection, close_order(connection, order, body.lines, body.reason))
    _print(record, as_json=as_json)


@purchase_orders_app.command(
    "import",
    help=file_help(
        "Order from suppliers by a file, a line of an order a row. Rows with one purchase_order_id are one order; of "
        "those without, the rows of one location and supplier. The same file again orders nothing new.",
        ORDER_COLUMNS,
    ),
)
def import_orders_file(
    file: CsvFile,
    *,
    again: Annotated[
        bool, typer.Option("--again", help="Order once more what this very file ordered before without ids.")
    ] = False,
    dry_run: DryRun = False,
    folder: Directory = None,
    database_url: DatabaseUrl = None,
    as_json: AsJson = False,
) -> None:
    """Order from suppliers by a CSV file."""
    # Begins with a blank, as no Idempotency-Key of HTTP does.
    key = None if again or not file.is_file() else f" file {sha256(file.read_bytes()).hexdigest()}"
    import_file(
        *(file, ORDER_COLUMNS, lambda rows: read_order_rows(rows, key), import_orders),
        folder=folder,
        database_url=database_url,
        dry_run=dry_run,
        as_json=as_json,
    )


def _key(key: str | None) -> str | None:
    if key is not None and not (1 <= len(key) <= 200 and key.isascii() and key.isprintable() and key == key.strip()):
        raise typer.BadParameter("it is not 1 to 200 printable ASCII characters", param_hint="--key")
    return key


def _lines(words: Sequence[str]) -> list[dict[str, Any]]:
    """The lines of an order as typed. Raises BadParameter."""
    found = []
    for word in words:
        cost = _COST.fullmatch(word)
        ((item_id, quantity),) = item_lines([word if cost is None else cost["quantity"]], "--line")
        line: dict[str, Any] = {"item_id": item_id, "quantity": quantity}
        if cost is not None:
            line["cost"] = {"amount": figure(cost["amount"], "--line"), "currency": cost["currency"].upper()}
        found.append(line)
    return found


def _record(connection: Connection, order: PurchaseOrder) -> PurchaseOrderRecord:
    (record,) = purchase_order_records(connection, [order])
    return record


def _print(record: PurchaseOrderRecord, *, as_json: bool) -> None:
    if as_json:
        print_json(record)
        return
    due = "" if record.due is None else f", due {record.due}"
    print_line(f"[bold]{record.state.value}[/bold], made {short_time(record.created_at, UTC)} UTC{due}")
    for text in (record.note, record.close_reason and f"Closed: {record.close_reason}"):
        if text:
            print_text(text)
    print_table(
        f"{record.purchase_order_id} to {record.supplier_id} for {record.location_id}",
        ("line#", "item", "unit", "ordered#", "received#", "open#", "over#", "returned#", "closed", "cost"),
        [_row(each) for each in record.lines],
    )


def _row(line: PurchaseOrderLineRecord) -> Sequence[object]:
    return (
        *(line.line, line.item_id, line.unit, _text(line.quantity), _text(line.received), _text(line.open)),
        *(_above_zero(line.over), _above_zero(line.returned), "yes" if line.closed else None),
        None if line.cost is None else f"{line.cost.amount} {line.cost.currency}",
    )


def _coming(record: PurchaseOrderRecord) -> str | None:
    """What is still to come, in words."""
    lines = [line for line in record.lines if _above_zero(line.open)]
    shown = [f"{line.item_id} {_text(line.open)} {line.unit}" for line in lines[:LINES_SHOWN]]
    more = len(lines) - len(shown)
    return ", ".join([*shown, *([f"and {more} more"] if more else [])]) or None


def _text(quantity: msgspec.Raw) -> str:
    return bytes(quantity).decode("ascii")


def _above_zero(quantity: msgspec.Raw) -> str | None:
    text = _text(quantity)
    return None if text == "0" else text
