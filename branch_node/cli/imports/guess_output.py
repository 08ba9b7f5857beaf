"""`larder branch import --guess FILE`: the map on standard output, what the first rows become on standard error."""

from __future__ import annotations

from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

import typer
from rich.console import Console

from branch_node.cli.imports.preview_output import print_rows
from branch_node.database.store import Store, load_location
from branch_node.imports.guessing.file_sample import read_sample
from branch_node.imports.guessing.map_guess import GuessContext, GuessFailed, guess_map
from branch_node.imports.guessing.sample_outcome import sample_outcome
from branch_node.imports.rows.import_catalogue import ItemsCatalogue
from branch_node.imports.source_file import STDIN, FileRefused
from branch_node.settings import is_directory_given, load
from shared.runtime.cli.errors import CommandRefused
from shared.runtime.cli.output import number_of, print_text
from shared.runtime.clock import SystemClock
from shared.runtime.settings import SettingsError

_SHOWN_ROWS: Final = 10
EXAMPLE_HINT: Final = "larder branch import --example-map prints a map with every setting, to be written by hand."


def print_guess(file: Path, directory: Path | None) -> None:
    """Print a first map of a file. Raises CommandRefused where it cannot be guessed."""
    context, folder = _context(file, directory)
    try:
        sample = read_sample(file, folder=folder)
        text = guess_map(sample, context)
    except FileRefused as error:
        raise CommandRefused(str(error)) from error
    except GuessFailed as error:
        raise CommandRefused(f"{context.name}: {error}", EXAMPLE_HINT) from error
    outcome = sample_outcome(text, sample, context)
    typer.echo(text, nl=False)
    zone = ZoneInfo("UTC" if context.location is None else context.location.timezone)
    console = Console(stderr=True, highlight=False)
    print_rows(
        f"What the first rows of {context.name} become",
        outcome.rows[:_SHOWN_ROWS],
        zone,
        empty="No row of the sample can be recorded.",
        console=console,
    )
    print_text(
        f"Of {number_of(outcome.read, 'row')} in the sample, {outcome.recorded} would be recorded, {outcome.skipped} "
        f"left out, {outcome.rejected} rejected.",
        err=True,
    )
    for reason in outcome.reasons:
        print_text(f"{number_of(reason.rows, 'row')}: {reason.reason} (line {reason.first_line})", err=True)


def _context(file: Path, directory: Path | None) -> tuple[GuessContext, Path | None]:
    """What is known besides the file: the zone and the items of the node, where --dir holds one."""
    now = SystemClock().now()
    written = now if file == STDIN else min(now, int(file.stat().st_mtime * 1_000_000))
    name = "stdin" if file == STDIN else file.name
    if not is_directory_given(directory):
        return GuessContext(name=name, location=None, catalogue=None, written_at=written), None
    settings = load(directory)
    if not settings.has_database:
        raise SettingsError(f"there is no node in {settings.dir}: run 'larder branch init --dir {settings.dir}' first")
    store = Store(settings.database_url, settings.dir)
    try:
        with store.reading() as connection:
            location, catalogue = load_location(connection), ItemsCatalogue.stored(connection)
    finally:
        store.close()
    return GuessContext(name=name, location=location, catalogue=catalogue, written_at=written), settings.dir
