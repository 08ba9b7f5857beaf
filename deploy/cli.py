"""The command `larder`: the services' command lines and the demo, each imported only when it is called."""

import sys
from difflib import get_close_matches
from importlib import import_module
from importlib.metadata import version
from typing import Annotated, Any

import typer

from shared.runtime.cli.lazy_group import LazyGroup

# The module of each command, with its Typer application in `app`, and its line in `larder --help`.
COMMANDS = {
    "demo": ("deploy.demo.command", "Head office, coordinator and three branches on this machine, to try."),
    "branch": ("branch_node.cli.app", "A branch's node: record, count, import, serve, ship."),
    "head-office": ("head_office.cli.app", "Head office: locations, items, keys, stock of the group, reports."),
    "transfer": ("transfer_coordinator.cli.app", "The transfer coordinator: move stock between locations."),
}
SERVICES = ("branch", "head-office", "transfer")
DEBUG = "--debug"


class LarderGroup(LazyGroup):
    """The services' command lines and the demo."""

    lazy_commands = COMMANDS

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except Exception as error:
            meant = _services_with(args[0]) if args and hasattr(error, "message") else []
            if meant and "Did you mean" not in str(error.message):  # type: ignore[attr-defined]
                error.message = f"{error.message} Did you mean {' or '.join(meant)}?"  # type: ignore[attr-defined]
            raise


def _services_with(command: str) -> list[str]:
    """The commands of services that are called so, or nearly so, as `'branch stock'`."""
    found = []
    for service in SERVICES:
        known = import_module(f"{COMMANDS[service][0]}").COMMANDS
        found += [f"'{service} {name}'" for name in get_close_matches(command, known, 1, 0.75)]
    return found


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"larder {version('larder')}")
        raise typer.Exit


app = typer.Typer(cls=LarderGroup, no_args_is_help=True, context_settings={"help_option_names": ["-h", "--help"]})


@app.callback()
def larder(
    show_version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_print_version, help="Print the version and end.")
    ] = False,
    debug: Annotated[bool, typer.Option(DEBUG, help="Show where in Larder an unexpected error happened.")] = False,
) -> None:
    """Exact stock for a group of branches whose internet fails often."""
    del show_version, debug  # the first acts in its callback, `main` reads the second from the arguments


def main() -> None:
    """Run the command line; exit code 0 done, 1 refused or check failed, 2 usage. No traceback without --debug."""
    try:
        typer.main.get_command(app)(prog_name="larder")
    except Exception as error:
        if sys.argv[1:2] == [DEBUG]:
            raise
        # Imported here: `larder --help` does without what these errors come from.
        from shared.runtime.cli.errors import describe, print_error

        report = describe(error, debug_command=f"larder {DEBUG}")
        print_error(report, as_json="--json" in sys.argv)
        sys.exit(report.exit_code)


if __name__ == "__main__":
    main()
