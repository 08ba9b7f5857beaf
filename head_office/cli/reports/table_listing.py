"""How the commands of reports that are tables read one and print it: as a table, as JSON, or into a CSV file."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import msgspec
import typer

from head_office.catalogue.items import check_seen
from head_office.catalogue.locations import check_locations
from head_office.cli.office_completion import complete_item, complete_location
from head_office.cli.office_database import report
from head_office.reports.report_moments import AskedPeriod, asked_text
from head_office.reports.tables.table_report import TablePage, TableReport, TableScope, table_scope
from shared.event_record import moment_text
from shared.runtime.business_days import read_asked
from shared.runtime.cli.arguments import check_period, moment_or_date
from shared.runtime.cli.output import UTC, local_time, number_of, print_json, print_next, print_table, print_text
from shared.runtime.cli.progress import status_line
from shared.runtime.clock import parse_rfc3339
from shared.runtime.settings import command_line
from shared.runtime.text.csv_writer import CsvCell, csv_rows

OfLocation = Annotated[
    str | None, typer.Option("--location", help="Of this location only.", autocompletion=complete_location)
]
OfItem = Annotated[
    str | None, typer.Option("--item", help="Of this item only, by any of its codes.", autocompletion=complete_item)
]
OccurredFrom = Annotated[
    str | None,
    typer.Option(
        "--from", callback=moment_or_date, help="What occurred from then on; a date is the start of that business day."
    ),
]
OccurredTo = Annotated[
    str | None, typer.Option("--to", callback=moment_or_date, help="What occurred before then, or before that date.")
]
AsKnownAt = Annotated[str | None, typer.Option("--known-at", help="As head office knew it then.")]
AfterRow = Annotated[str | None, typer.Option("--after", help="`next` of the page before.")]
RowLimit = Annotated[int, typer.Option("--limit", min=1, max=1_000, help="How many rows are shown at most.")]
CsvFile = Annotated[
    Path | None,
    typer.Option("--csv", metavar="FILE", help="Write every row into this CSV file instead; an older one is replaced."),
]


class ListingQuestion(NamedTuple):
    """What was asked for at the command line, as typed; `words` are further options with their values."""

    report: str
    words: Mapping[str, str | None]
    location: str | None
    item: str | None
    begin: str | None
    end: str | None
    known_at: str | None
    after: str | None
    limit: int
    csv: Path | None

    @property
    def over(self) -> AskedPeriod:
        """The period. Raises BadParameter where it ends before it begins."""
        check_period(self.begin, self.end)
        return AskedPeriod(*(None if each is None else read_asked(each) for each in (self.begin, self.end)))

    def title(self, subject: str) -> str:
        """The title of the table: the subject, the period and the moment at which it was known."""
        ends = [f"{word} {text}" for word, text in (("from", self.begin), ("to", self.end)) if text]
        known = [] if self.known_at is None else [f"as known at {local_time(self.known_at, UTC)}"]
        return ", ".join([" ".join([subject, *ends]), *known])

    def again(self, option: str, value: str) -> str:
        """The command that asks the same with another option."""
        given = {
            **self.words,
            "--location": self.location,
            "--item": self.item,
            "--from": self.begin,
            "--to": self.end,
            "--known-at": self.known_at,
            "--limit": str(self.limit) if option == "--after" else None,
            option: value,
        }
        words = [word for name, value in given.items() if value is not None for word in (name, value)]
        return command_line("head-office", "report", self.report, *words)


class TableLayout(NamedTuple):
    """How a row is shown: the title without its period, the names of the columns, the cells of a row."""

    subject: str
    columns: Sequence[str]
    cells: Callable[[Any], Sequence[object]]


@contextmanager
def asked_scope(question: ListingQuestion, folder: Path | None, database_url: str | None) -> Iterator[TableScope]:
    """The scope that was asked for, in one snapshot. Raises BadParameter, Problem."""
    over, known_at = question.over, _moment(question.known_at)
    if question.csv is not None and question.after is not None:
        raise typer.BadParameter("a file has every row: leave it out", param_hint="--after")
    with report(folder, database_url, known_at) as (connection, settled):
        places = None if question.location is None else [question.location]
        if places is not None:
            check_locations(connection, places)
        if question.item is not None:
            check_seen(connection, question.item)
        yield table_scope(connection, settled, location_ids=places, item_id=question.item, over=over)


def show_table(
    scope: TableScope,
    table: TableReport,
    question: ListingQuestion,
    layout: TableLayout,
    *,
    as_json: bool,
    shows_progress: bool = False,
) -> None:
    """Print a page of the table, or write all of it into the file that was asked for.

    `shows_progress`: the table shows its own while it is read, so that none is shown of the file.
    """
    if question.csv is not None:
        with nullcontext(_no_progress) if shows_progress else status_line("reading") as progress:
            rows = write_file(question.csv, table, scope, progress)
        if as_json:
            print_json({"file": str(question.csv), "rows": rows})
        else:
            print_text(f"{number_of(rows, 'row')} in {question.csv}")
        return
    page = table.page(scope, question.after, question.limit)
    if as_json:
        print_json({"items": page.items, "next": page.next, **_about(page, question)})
        return
    print_table(question.title(layout.subject), layout.columns, [layout.cells(row) for row in page.items])
    if page.next is not None:
        print_next(question.again("--after", page.next), question.again("--csv", f"{question.report}.csv"))


def write_file(path: Path, table: TableReport, scope: TableScope, progress: Callable[[str], None]) -> int:
    """Write every row into a file, which is there once it is whole; the number of rows. Raises OSError, Problem."""
    written = 0

    def counted() -> Iterator[list[CsvCell]]:
        nonlocal written
        for cells in table.cells(scope):
            written += 1
            if written % 1_000 == 0:
                progress(number_of(written, "row"))
            yield cells

    part = path.with_name(f"{path.name}.part")
    try:
        with part.open("wb") as file:
            file.writelines(csv_rows(table.columns, counted()))
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    return written


def figure_text(figure: msgspec.Raw) -> str:
    """A figure of a row in a table."""
    return bytes(figure).decode("ascii")


def figure_cell(figure: msgspec.Raw) -> str | None:
    """A figure of a row in a table, nothing for zero: a column of zeros is left out."""
    text = bytes(figure).decode("ascii")
    return None if text == "0" else text


def _no_progress(_: str) -> None:
    """Show nothing."""


def _about(page: TablePage, question: ListingQuestion) -> dict[str, object]:
    over = question.over
    return {
        "from": asked_text(over.begin),
        "to": asked_text(over.end),
        "known_at": None if page.cut.known_at is None else moment_text(page.cut.known_at),
        "cut": page.cut.sequences,
    }


def _moment(text: str | None) -> int | None:
    if text is None:
        return None
    try:
        return parse_rfc3339(text)[0]
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--known-at") from error
