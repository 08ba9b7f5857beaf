"""The command `larder`: mounts the services' own commands, importing only the one that is called."""

import importlib
import sys
from importlib.metadata import version
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

# The module of each command, with its typer app in `app`, and what `larder --help` says of it.
COMMANDS = {
    "demo": ("deploy.demo.command", "Head office, coordinator and three branches on this machine, to try."),
    "branch": ("branch_node.cli.app", "A branch's node: record, count, import, serve, ship."),
    "head-office": ("head_office.cli.app", "Head office: locations, items, keys, stock of the group, reports."),
    "transfer": ("transfer_coordinator.cli.app", "The transfer coordinator: move stock between locations."),
}
REFUSED = 1
WRONG_USAGE = 2
DEBUG = "--debug"


class LazyCommands(TyperGroup):
    """Knows its commands by name and line; imports one when it is called."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        for name, (_, line) in COMMANDS.items():
            self.add_command(TyperCommand(name, help=line))

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        name, command, rest = super().resolve_command(ctx, args)
        if name in COMMANDS:
            module, _ = COMMANDS[name]
            command = typer.main.get_command(importlib.import_module(module).app)
        return name, command, rest


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"larder {version('larder')}")
        raise typer.Exit


app = typer.Typer(cls=LazyCommands, no_args_is_help=True, context_settings={"help_option_names": ["-h", "--help"]})


@app.callback()
def larder(
    show_version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_print_version, help="Print the version and end.")
    ] = False,
    debug: Annotated[bool, typer.Option(DEBUG, help="Show where in Larder an unexpected error happened.")] = False,
) -> None:
    """Exact stock for a group of branches whose internet fails often."""
    del show_version, debug  # the first acts by its callback, the second is looked at in `main`


def main() -> None:
    """Run the command line and exit: 0 done, 1 refused or not true, 2 wrong usage. No traceback unless asked for."""
    try:
        typer.main.get_command(app)(prog_name="larder")
    except Exception as error:
        if sys.argv[1:2] == [DEBUG]:
            raise
        text, code = _explain(error)
        typer.echo(f"larder: {text}", err=True)
        sys.exit(code)


def _explain(error: Exception) -> tuple[str, int]:
    """What to tell the user, and the exit code. Imported here: the errors of a command come with what it imported."""
    from shared.runtime.postgres.binaries import PostgresError
    from shared.runtime.problems import Problem
    from shared.runtime.settings import SettingsError

    if isinstance(error, Problem):
        said = f"{error.title}: {error.detail}" if error.detail else error.title
        return f"{said} ({error.code})" + (f"\n{error.hint}" if error.hint else ""), REFUSED
    if isinstance(error, SettingsError):
        return str(error), WRONG_USAGE
    if isinstance(error, PostgresError):
        return str(error), REFUSED
    if isinstance(error, OSError):
        return f"{error} ({type(error).__name__})", REFUSED
    return (
        f"an error inside Larder: {type(error).__name__}: {error}\n"
        f"Please report it with the output of the same command after 'larder {DEBUG}'.",
        REFUSED,
    )


if __name__ == "__main__":
    main()
