"""`larder branch items`: the catalogue of this branch, and items of its own."""

from __future__ import annotations

import csv
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

COLUMNS: Final = ("item_id", "name", "unit", "category", "barcode", "strict")
_TRUE: Final = frozenset({"1", "true", "yes", "y"})


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
            item["name"],
            item["unit"],
            item.get("category"),
            "strict" if item.get("strict") else "",
            "here" if item.get("defined_here") else "head office",
        )
        for item in found
    ]
    print_table(
        "", ("item", "name", "unit", "category", "", "defined"), rows,
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
        typer.Argument(metavar="FILE", help=f"CSV with the columns {', '.join(COLUMNS)}; the first three needed."),
    ],
    directory: Directory = None,
    as_json: AsJson = False,
) -> None:
    """Define items from a CSV file. Items that are there already with the same figures are left as they are."""
    rows = list(_rows(file))
    refused: list[dict[str, object]] = []
    with node_at(directory) as node, progress_bar("Items", len(rows)) as advance:
        for line, item_id, body in rows:
            try:
                _put(node, item_id, body)
            except RemoteProblem as problem:
                refused.append({"line": line, "item_id": item_id, "code": problem.code, "detail": problem.detail})
            advance(1)
    if as_json:
        print_json({"defined": len(rows) - len(refused), "refused": refused})
    else:
        print_line(f"[green]{number_of(len(rows) - len(refused), 'item')} defined.[/]")
        columns = ("line#", "item", "code", "why")
        if refused:
            print_table("Refused", columns, [tuple(each.values()) for each in refused])
    if refused:
        raise typer.Exit(REFUSED)


def _put(node: ServiceClient, item_id: str, body: dict[str, Any]) -> Any:
    given = {name: value for name, value in body.items() if value is not None}
    return node.put(f"/v1/items/{quote(item_id, safe='')}", given, tries=3)


def _rows(file: Path) -> Iterator[tuple[int, str, dict[str, Any]]]:
    with file.open(newline="", encoding="utf-8-sig") as opened:
        reader = csv.DictReader(opened)
        unknown = set(reader.fieldnames or ()) - set(COLUMNS)
        missing = {"item_id", "name", "unit"} - set(reader.fieldnames or ())
        if unknown or missing:
            raise CommandRefused(
                f"{file} has the columns {', '.join(reader.fieldnames or ()) or '(none)'}",
                f"The first line must name item_id, name, unit, and may name {', '.join(COLUMNS[3:])}; no others.",
            )
        for row in reader:
            filled = {name: value.strip() for name, value in row.items() if name and value and value.strip()}
            body: dict[str, Any] = {name: value for name, value in filled.items() if name != "item_id"}
            if "strict" in body:
                body["strict"] = body["strict"].lower() in _TRUE
            yield reader.line_num, filled.get("item_id", ""), body
