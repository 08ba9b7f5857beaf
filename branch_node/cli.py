"""`larder branch …`: a branch's node at the command line.

Only the module of the command that is called is imported: a till that records one sale should not wait for the parts
that serve.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any, Final

import typer
from typer.core import TyperCommand

from branch_node.cli_output import TellingGroup

# The module of each command, and what `larder branch --help` says of it.
COMMANDS: Final = {
    "init": ("cli_setup", "Make a branch's node, or change its settings."),
    "serve": ("cli_setup", "Run the node: API, pages, shipping; with or without a line to head office."),
    "record": ("cli_record", "Record one event: a delivery, a sale, waste, use, a return, an adjustment, a count."),
    "order": ("cli_record", "Record an order, state it anew, or cancel it."),
    "count": ("cli_record", "Record what was counted."),
    "import": ("cli_import", "Import a till's CSV, each row exactly once."),
    "items": ("cli_items", "List the items known here; add or import items."),
    "stock": ("cli_read", "What is on hand, reserved and available, now or then."),
    "log": ("cli_read", "The events of this location."),
    "explain": ("cli_read", "Why a figure is what it is."),
    "status": ("cli_read", "Where the log ends, what waits to be shipped, how shipping stands."),
    "verify": ("cli_check", "Verify the log's chain, and that every figure is the fold of the log."),
    "sync": ("cli_check", "Ship everything that waits, and take what head office has for this location."),
}


class LazyGroup(TellingGroup):
    """Knows its commands by name and line; imports one when it is called."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        for name, (_, line) in COMMANDS.items():
            self.add_command(TyperCommand(name, help=line))

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        name, command, rest = super().resolve_command(ctx, args)
        if name in COMMANDS:
            part = typer.Typer()
            part.callback()(_part)
            import_module(f"branch_node.{COMMANDS[name][0]}").register(part)
            group: Any = typer.main.get_command(part)
            command = group.commands[name]
        return name, command, rest


def _part() -> None:
    """With a callback, a Typer of one command still makes a group of it."""


app: Final = typer.Typer(
    cls=LazyGroup,
    no_args_is_help=True,
    add_completion=False,
    help="A branch's node: record, count, import, serve, ship.",
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def branch() -> None:
    """A branch's node: record, count, import, serve, ship."""
