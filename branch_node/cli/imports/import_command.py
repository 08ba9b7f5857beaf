"""`larder branch import`: a till's CSV, by a map, each row exactly once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.markup import escape

from branch_node.cli.imports.guess_output import print_guess
from branch_node.cli.imports.preview_output import print_preview
from branch_node.cli.node_client import Directory, node_command, opened, serving
from branch_node.database.keys.api_keys import LOCAL
from branch_node.database.store import Store
from branch_node.imports.import_summary import ImportSummary
from branch_node.imports.importer import ImportRun
from branch_node.imports.mapping.map_lines import line_of_dotted
from branch_node.imports.mapping.map_parser import MapError, parse_map
from branch_node.imports.recorders.http_recorder import HttpImportRecorder
from branch_node.imports.recorders.import_recorder import CHUNK_ALONE, ImportRecorder
from branch_node.imports.recorders.local_recorders import DryRunRecorder, LocalImportRecorder
from branch_node.imports.reject_files import CONFLICTS_HELP, Conflicts, Rejects, conflicts_path, rejects_path
from branch_node.imports.rows.line_set import LineSet
from branch_node.imports.rows.row_reader import HeaderError
from branch_node.imports.source_file import STDIN, FileLayout, FileRefused, SourceFile
from branch_node.settings import BranchSettings, load
from shared.events import quantity_text
from shared.runtime.cli.errors import REFUSED, CommandRefused, ErrorReport, print_error
from shared.runtime.cli.output import AsJson, number, number_of, print_json, print_line, print_next, print_table
from shared.runtime.cli.progress import file_progress
from shared.runtime.clock import SystemClock, parse_rfc3339
from shared.runtime.garbage import infrequent_collections
from shared.runtime.settings import SettingsError, command_line

EXAMPLE: Final = Path(__file__).parent / "import_map_example.toml"
_A_FILE: Final = {"exists": True, "dir_okay": False, "readable": True}


def _print_example(wanted: bool) -> None:
    if wanted:
        typer.echo(EXAMPLE.read_text(encoding="utf-8"), nl=False)
        raise typer.Exit


def _source(path: Path | None) -> Path | None:
    """The file, or -, which typer's own check of paths takes for a file that is missing."""
    if path is not None and path != STDIN and not path.is_file():
        raise typer.BadParameter(
            f"File {str(path)!r} is a folder." if path.is_dir() else f"File {str(path)!r} does not exist."
        )
    return path


def import_file(
    *,
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="CSV, plain or .gz, or XLSX; - for standard input.", callback=_source)
    ],
    map_file: Annotated[
        Path | None, typer.Option("--map", help="TOML that says what the columns are.", show_default=False, **_A_FILE)
    ] = None,
    directory: Directory = None,
    rejects: Annotated[
        Path | None, typer.Option(help="Where rows go that cannot be recorded; FILE.rejects.csv if not given.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Record nothing; print what would be recorded.")] = False,
    at: Annotated[
        str | None, typer.Option(help="When all rows happened, for a file without times: RFC 3339 with offset.")
    ] = None,
    accept_conflicts: Annotated[
        str | None,
        typer.Option(metavar="LINES", help="Record these lines (4,7-9 or all) as their own, though their id is taken."),
    ] = None,
    guess: Annotated[
        bool, typer.Option("--guess", help="Print a first map of FILE, and on stderr what its rows become by it.")
    ] = False,
    as_json: AsJson = False,
    example_map: Annotated[
        bool,
        typer.Option(
            "--example-map", is_eager=True, callback=_print_example, help="Print an example map with every setting."
        ),
    ] = False,
) -> None:
    """Import a till's CSV. Run it again whenever it was cut off: each row is recorded exactly once.

    A row is known by its own id, whatever its file is called, else by its line in a file that is known by its bytes.
    Rows that cannot be recorded are written to the rejects file with line and reason, rows whose id recorded something
    else to the conflicts file beside it, and the exit code is 1; the others are recorded all the same.
    """
    del example_map  # printed by its callback
    if guess:
        others = {
            "--map": map_file,
            "--rejects": rejects,
            "--at": at,
            "--accept-conflicts": accept_conflicts,
            "--dry-run": dry_run or None,
        }
        _refuse_beside_guess([name for name, value in others.items() if value is not None])
        print_guess(file, directory)
        return
    if map_file is None:
        raise typer.BadParameter("is missing: give a map; --guess prints a first one of the file", param_hint="--map")
    try:
        now = SystemClock().now()
        found = parse_map(map_file.read_bytes(), str(map_file), at=_moment(at))
        accepted = _accepted(accept_conflicts)
        path = rejects_path(Path("stdin") if file == STDIN else file, rejects)
        settings = load(directory)
        with (
            SourceFile(file, found.delimiter, FileLayout.of(found), folder=settings.dir) as opened_file,
            Rejects(path, found.delimiter or ",", keep=not dry_run) as opened_rejects,
            Conflicts(conflicts_path(path), found.delimiter or ",", keep=not dry_run) as conflicts,
            _recorder(settings, dry_run=dry_run) as recorder,
            file_progress(opened_file.bytes_on_disk) as report,
        ):
            run = ImportRun(
                opened_file, found, recorder, opened_rejects, conflicts, now=now, dry_run=dry_run, accepted=accepted
            )
            try:
                with infrequent_collections():
                    summary = run.run(report)
            except KeyboardInterrupt:
                given = (
                    ("--dir", directory),
                    ("--rejects", rejects),
                    ("--at", at),
                    ("--accept-conflicts", accept_conflicts),
                )
                options = [word for option, value in given if value is not None for word in (option, value)]
                again = command_line("branch", "import", file, "--map", map_file, *options)
                _print_interrupted(run.so_far(), file, again, as_json=as_json)
                raise
    except MapError as error:
        raise typer.BadParameter(str(error), param_hint="--map") from error
    except HeaderError as error:
        line = line_of_dotted(map_file.read_text(encoding="utf-8-sig"), error.key)
        raise typer.BadParameter(f"{map_file}{line}, {error}", param_hint="--map") from error
    except FileRefused as error:
        raise CommandRefused(str(error)) from error
    _report(summary, directory, as_json)
    if summary.rejected or summary.conflicting:
        raise typer.Exit(REFUSED)


def _refuse_beside_guess(options: Sequence[str]) -> None:
    for option in options:
        raise typer.BadParameter(f"says how to import; --guess imports nothing: leave out {option}", param_hint=option)


def _moment(at: str | None) -> int | None:
    try:
        return None if at is None else parse_rfc3339(at)[0]
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--at") from error


def _accepted(lines: str | None) -> LineSet | None:
    try:
        return None if lines is None else LineSet.parse(lines)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--accept-conflicts") from error


def _print_interrupted(so_far: ImportSummary, file: Path, again: str, *, as_json: bool) -> None:
    """Say how far an import was when it was interrupted, and the command that goes on with it."""
    known = so_far.recorded + so_far.already_recorded + so_far.repeated
    done = (
        f"Interrupted in row {so_far.rows} of {file}; {number_of(known, 'row')} of it {'is' if known == 1 else 'are'} "
        f"known to be recorded, and {'is' if known == 1 else 'are'} not recorded again."
    )
    if so_far.dry_run:
        done = f"Interrupted in row {so_far.rows} of {file}; a dry run records nothing."
    hint = f"Go on with the same command: {again}"
    print_error(ErrorReport(done, hint=hint, code="interrupted", about={"rows": so_far.rows}), as_json=as_json)


@contextmanager
def _recorder(settings: BranchSettings, *, dry_run: bool) -> Iterator[ImportRecorder]:
    """A recorder over HTTP to the node that serves this --dir, else one of a node in this process."""
    client = None if dry_run else serving(settings.dir)
    if client is None and not dry_run:
        with opened(settings) as node:
            yield LocalImportRecorder(node.writer, node.store, LOCAL, chunk=CHUNK_ALONE)
        return
    if not settings.has_database:
        folder = settings.dir
        raise SettingsError(f"there is no node in {folder}: run 'larder branch init --dir {folder}' first")
    store = Store(settings.database_url, settings.dir)
    try:
        if client is None:
            with DryRunRecorder(store, SystemClock().now()) as dry:
                yield dry
        else:
            with client, HttpImportRecorder(client, store) as remote:
                yield remote
    finally:
        store.close()


def _report(summary: ImportSummary, directory: Path | None, as_json: bool) -> None:
    if as_json:
        print_json(summary.document())
        return
    if summary.already_imported is not None:
        print_line(
            f"{escape(summary.file)} was imported already, as {summary.already_imported}: "
            f"{number_of(summary.rows, 'row')}. Nothing was recorded."
        )
        print_line("Rows that were rejected then are imported from their rejects file.")
        print_next(node_command(directory, "imports", "show", summary.already_imported))
        return
    would = " would be" if summary.dry_run else ""
    rows = [
        ("in the file", summary.rows),
        (f"{would} recorded".strip(), summary.recorded),
        ("recorded before", summary.already_recorded),
        ("already recorded in this file", summary.repeated),
        ("filtered out ([where])", summary.filtered),
        ("skipped, as the map says", summary.skipped),
        (f"{would} rejected".strip(), summary.rejected),
        (f"{would} in conflict with what is recorded".strip(), summary.conflicting),
    ]
    print_table(f"{summary.file} from {summary.source}", ("~", "rows#"), rows)
    print_table(
        "",
        ("type", "events#", "quantity#"),
        [(kind, tally.events, quantity_text(tally.quantity)) for kind, tally in sorted(summary.by_type.items())],
        empty="No row changes stock.",
    )
    for reason in summary.reasons:
        one = "" if reason.rows == 1 else "such as "
        print_line(f"[red]{number_of(reason.rows, 'row')}:[/] {one}{escape(reason.reason)} (line {reason.first_line})")
    for column, cells in summary.left_out.items():
        left = f"{number_of(cells, 'cell')} of column {column!r}"
        print_line(f"[yellow]{escape(left)} left out:[/] not readable, and the map says so in \\[bad_cells].")
    if summary.preview is not None:
        print_preview(summary.preview, summary.items_defined)
    if summary.unread_bytes:
        print_line(
            f"The file has grown by {number_of(summary.unread_bytes, 'byte')} meanwhile: run the same command again."
        )
    if summary.items_defined:
        verb = would or (" was" if summary.items_defined == 1 else " were")
        print_line(f"{number_of(summary.items_defined, 'item')}{verb} defined.")
    if summary.rejects:
        print_line(f"[bold red]{number(summary.rejected)} rejected:[/] see {escape(summary.rejects)}")
    if summary.conflicts:
        print_line(f"[bold red]{number(summary.conflicting)} in conflict:[/] see {escape(summary.conflicts)}")
        print_line(f"Do not import that file: {CONFLICTS_HELP}.")
