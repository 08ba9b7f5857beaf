"""`larder branch …`: a branch's node at the command line.

Only the module of the command that is called is imported: a till that records one sale should not wait for the parts
that serve.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any, Final

import typer
from typer.core import TyperCommand

from branch_node.cli.output import TellingGroup

# The module of each command, and what `larder branch --help` says of it.
COMMANDS: Final = {
    "init": ("setup_commands", "Make a branch's node, or change its settings."),
    "serve": ("setup_commands", "Run the node: API, pages, shipping; with or without a line to head office."),
    "record": (
        "record_commands",
        "Record one event: a delivery, a sale, waste, use, a return, an adjustment, a count.",
    ),
    "order": ("record_commands", "Record an order, state it anew, or cancel it."),
    "count": ("record_commands", "Record what was counted."),
    "import": ("import_command", "Import a till's CSV, each row exactly once."),
    "items": ("item_commands", "List the items known here; add or import items."),
    "stock": ("read_commands", "What is on hand, reserved and available, now or then."),
    "log": ("read_commands", "The events of this location."),
    "explain": ("read_commands", "Why a figure is what it is."),
    "status": ("read_commands", "Where the log ends, what waits to be shipped, how shipping stands."),
    "verify": ("check_commands", "Verify the log's chain, and that every figure is the fold of the log."),
    "sync": ("check_commands", "Ship everything that waits, and take what head office has for this location."),
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
            import_module(f"branch_node.cli.{COMMANDS[name][0]}").register(part)
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
