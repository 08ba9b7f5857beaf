"""The import of a CSV file by a command: all of it or nothing, every row at fault named, a bar while it runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Annotated, Final, TypeVar

import typer
from sqlalchemy import Connection

from head_office.catalogue.item_files import Imported
from head_office.catalogue.purchases.purchase_files import MAX_ROWS, FileColumns, ReadRows
from head_office.cli.office_database import office
from shared.runtime.cli.errors import REFUSED, CommandRefused
from shared.runtime.cli.output import print_json, print_text
from shared.runtime.cli.progress import progress_bar
from shared.runtime.text.csv_table import BadTable, TableRow, read_table

T = TypeVar("T")

SHOWN: Final = 20
"""How many rows at fault are shown in words."""

CsvFile = Annotated[Path, typer.Argument(metavar="FILE", help="A CSV file in UTF-8.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Check the whole file, and record nothing.")]


def file_help(what: str, columns: FileColumns) -> str:
    """The help of an import, with the columns of its file and an example of them."""
    return (
        f"{what}\n\nAll of the file is recorded or nothing; rows at fault are named with their lines. Columns: "
        f"{', '.join(columns.required)}; if wanted {', '.join(columns.optional)}. For example:\n\n\b\n{columns.example}"
    )


def import_file(
    file: Path,
    columns: FileColumns,
    read: Callable[[Iterator[TableRow]], ReadRows[T]],
    record: Callable[[Connection, ReadRows[T], Callable[[int], None]], Imported],
    *,
    folder: Path | None,
    database_url: str | None,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Read and record a file, and print what came of it. Raises CommandRefused for one that cannot be read."""
    try:
        found = read(_bounded(read_table(file, required=columns.required, optional=columns.optional)))
    except BadTable as error:
        raise CommandRefused(str(error)) from error
    except OSError as error:
        raise CommandRefused(f"{file}: {error.strerror or error}") from error
    with office(folder, database_url) as engine, engine.connect() as connection:
        with progress_bar(file.name, len(found.values)) as advance:
            result = record(connection, found, advance)
        if dry_run or result.rejected:
            connection.rollback()
        else:
            connection.commit()
    _print(result, dry_run=dry_run, as_json=as_json)
    if result.rejected:
        raise typer.Exit(REFUSED)


def _bounded(rows: Iterator[TableRow]) -> Iterator[TableRow]:
    yield from islice(rows, MAX_ROWS)
    if next(rows, None) is not None:
        raise BadTable(f"the file has more than {MAX_ROWS} rows; import it in parts")


def _print(result: Imported, *, dry_run: bool, as_json: bool) -> None:
    if as_json:
        print_json(
            {
                "added": result.added,
                "changed": result.changed,
                "unchanged": result.unchanged,
                "rejected": [{"line": each.line, "reason": each.reason} for each in result.rejected],
                "recorded": not (dry_run or result.rejected),
            }
        )
        return
    for each in result.rejected[:SHOWN]:
        print_text(f"line {each.line}: {each.reason}", err=True)
    if len(result.rejected) > SHOWN:
        print_text(f"and {len(result.rejected) - SHOWN} more; --json lists all of them", err=True)
    if result.rejected:
        print_text("Nothing was recorded: correct these lines, and import the file again.", err=True)
    else:
        counts = f"{result.added} added, {result.changed} changed, {result.unchanged} as they were."
        print_text(f"{counts} A dry run: nothing was recorded." if dry_run else counts)
