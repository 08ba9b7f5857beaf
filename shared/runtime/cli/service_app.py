"""The Typer application of one service's command line: lazy commands, errors in words, quiet logs."""

from __future__ import annotations

from typing import Any, ClassVar

import typer

from shared.runtime.cli.errors import describe_expected, print_error
from shared.runtime.cli.lazy_group import CommandTable, LazyGroup
from shared.runtime.telemetry import configure_logging


class ServiceGroup(LazyGroup):
    """A lazy group that prints every expected error and ends with its exit code; other errors pass through."""

    expected_errors: ClassVar[tuple[str, ...]] = ()

    def invoke(self, ctx: Any) -> Any:
        # A command prints its errors itself; `serve` configures its own logs.
        configure_logging(level="CRITICAL")
        try:
            return super().invoke(ctx)
        except Exception as error:
            report = describe_expected(error, self.expected_errors)
            if report is None:
                raise
            print_error(report)
            raise typer.Exit(report.exit_code) from error


def service_app(help_line: str, commands: CommandTable, *, expected_errors: tuple[str, ...] = ()) -> typer.Typer:
    """The application with these commands; `expected_errors` are the service's own, as `module:class`."""
    own_errors = expected_errors

    class Commands(ServiceGroup):
        lazy_commands = commands
        expected_errors = own_errors

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
