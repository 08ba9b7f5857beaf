"""The Typer application of one service's command line: lazy commands, errors in words, quiet logs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Final

import typer

from shared.runtime.cli.errors import describe_expected, describe_usage, print_error
from shared.runtime.cli.lazy_group import CommandTable, LazyGroup
from shared.runtime.telemetry import configure_logging
from shared.runtime.text.printable import printable


class ServiceGroup(LazyGroup):
    """A lazy group that prints every expected error and ends with its exit code; other errors pass through."""

    expected_errors: ClassVar[tuple[str, ...]] = ()
    hints: ClassVar[Mapping[str, str]] = {}

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        ctx.meta[AS_JSON] = "--json" in args
        return super().parse_args(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        # A command prints its errors itself; `serve` configures its own logs.
        configure_logging(level="CRITICAL")
        as_json = bool(ctx.meta.get(AS_JSON))
        try:
            return super().invoke(ctx)
        except (typer.Exit, typer.Abort):
            raise
        except Exception as error:
            report = describe_usage(error)
            if report is not None and not as_json:
                # Typer prints it; it may name a file, or a column of one.
                error.message = printable(error.message)  # type: ignore[attr-defined]
                raise
            report = report or describe_expected(error, self.expected_errors, self.hints)
            if report is None:
                raise
            print_error(report, as_json=as_json)
            raise typer.Exit(report.exit_code) from error


AS_JSON: Final = "larder.as_json"
"""Where a context's `meta` says whether the command is to print JSON."""


def service_app(
    help_line: str,
    commands: CommandTable,
    *,
    expected_errors: tuple[str, ...] = (),
    hints: Mapping[str, str] | None = None,
) -> typer.Typer:
    """The application with these commands.

    `expected_errors` are the service's own, as `module:class`; `hints` its own hints, by the codes of its problems.
    """
    own_errors, own_hints = expected_errors, hints or {}

    class Commands(ServiceGroup):
        lazy_commands = commands
        expected_errors = own_errors
        hints = own_hints

    app = typer.Typer(
        cls=Commands,
        no_args_is_help=True,
        add_completion=False,
        help=help_line,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_no_options)
    return app


def command_group(help_line: str) -> typer.Typer:
    """An application for a group of commands inside a service's, such as `items`."""
    return typer.Typer(no_args_is_help=True, add_completion=False, help=help_line)


def _no_options() -> None:
    """With a callback, a Typer without registered commands is a group."""
