"""`larder branch items`: the catalogue of this branch, and items of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Final
from urllib.parse import quote

import typer

from branch_node.cli.node_client import Directory, node_at
from shared.runtime.cli.errors import REFUSED, CommandRefused
from shared.runtime.cli.output import AsJson, number_of, print_json, print_line, print_table
from shared.runtime.cli.progress import progress_bar
from shared.runtime.cli.service_client import read_items
from shared.runtime.client import RemoteProblem, ServiceClient
from shared.runtime.text.csv_table import BadTable, boolean, read_table

REQUIRED: Final = ("item_id", "name", "unit")
OPTIONAL: Final = ("category", "barcode", "strict")


items_app: Final = typer.Typer(
    invoke_without_command=True, add_completion=False, help="List the items known here; add or import items."
)


@items_app.callback()
def items(ctx: typer.Context, directory: Directory = None, as_json: AsJson = False) -> None:
    """List the items known here, or add and import items of this branch's own."""
    if ctx.invoked_subcommand is None:
        _list(directory, as_json)


@items_app.command("list")
def list_items(directory: Directory = None, as_json: AsJson = False) -> None:
    """List the items known here."""
    _list(directory, as_json)


def _list(directory: Path | None, as_json: bool) -> None:
    with node_at(directory) as node:
        found = list(read_items(node, "/v1/items"))
    if as_json:
        print_json({"items": found})
        return
    rows = [
        (
            item["item_id"],
            item.get("stands_for"),
            item["name"],
            item["unit"],
            item.get("category"),
            "strict" if item.get("strict") else "",
            "here" if item.get("defined_here") else "head office",
        )
        for item in found
    ]
    print_table(
        "", ("item", "stands for", "name~", "unit", "category~", "strict", "defined"), rows,
        empty="No items yet: they come from head office, or add one with 'larder branch items add'.",
    )  # fmt: skip


@items_app.command("add")
def add(
    *,
    item: Annotated[str, typer.Argument(metavar="ITEM", help="The item's code.")],
    name: Annotated[str, typer.Option(help="What people call it.")],
    unit: Annotated[str, typer.Option(help="Its base unit: kg, l, pc … Fixed after the first event.")],
    directory: Directory = None,
    category: Annotated[str | None, typer.Option()] = None,
    barcode: Annotated[str | None, typer.Option()] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Never let the book fall below zero.")] = False,
    as_json: AsJson = False,
) -> None:
    """Define an item of this branch's own. It waits for head office, and can be mapped there."""
    body = {"name": name, "unit": unit, "category": category, "barcode": barcode, "strict": strict or None}
    with node_at(directory) as node:
        answer = _put(node, item, body)
    if as_json:
        print_json(answer)
    else:
        print_line(f"[green]{item} is defined.[/]")


@items_app.command("import")
def import_items(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE", help=f"CSV with the columns {', '.join((*REQUIRED, *OPTIONAL))}; the first three needed."
        ),
    ],
    directory: Directory = None,
    as_json: AsJson = False,
) -> None:
    """Define items from a CSV file. Items that are there already with the same figures are left as they are."""
    rows = list(_read(file))
    refused: list[dict[str, object]] = []
    with node_at(directory) as node, progress_bar("Items", len(rows)) as advance:
        for line, item_id, body, fault in rows:
            try:
                if fault:
                    refused.append({"line": line, "item_id": item_id, "code": "unreadable-row", "detail": fault})
                else:
                    _put(node, item_id, body)
            except RemoteProblem as problem:
                refused.append({"line": line, "item_id": item_id, "code": problem.code, "detail": problem.detail})
            advance(1)
    if as_json:
        print_json({"defined": len(rows) - len(refused), "refused": refused})
    else:
        print_line(f"[green]{number_of(len(rows) - len(refused), 'item')} defined.[/]")
        columns = ("line#", "item", "code", "why~")
        if refused:
            print_table("Refused", columns, [tuple(each.values()) for each in refused])
    if refused:
        raise typer.Exit(REFUSED)


def _put(node: ServiceClient, item_id: str, body: dict[str, Any]) -> Any:
    given = {name: value for name, value in body.items() if value is not None}
    return node.put(f"/v1/items/{quote(item_id, safe='')}", given, tries=3)


def _read(file: Path) -> Iterator[tuple[int, str, dict[str, Any], str]]:
    """(line, item, its definition, fault) of each row. Raises CommandRefused."""
    try:
        for row in read_table(file, required=REQUIRED, optional=OPTIONAL):
            body: dict[str, Any] = {name: text for name, text in row.cells.items() if name != "item_id"}
            item_id = row.cells.get("item_id", "")
            fault = row.fault or ("" if item_id else "item_id is empty")
            if "strict" in body:
                try:
                    body["strict"] = boolean(body["strict"])
                except ValueError as error:
                    fault = f"strict: {error}"
            yield row.line, item_id, body, fault
    except BadTable as error:
        columns = f"The first line must name {', '.join(REQUIRED)}, and may name {', '.join(OPTIONAL)}; no others."
        raise CommandRefused(str(error), columns) from error
