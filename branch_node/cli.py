"""`larder branch …`: a branch's node at the command line."""

from __future__ import annotations

from typing import Final

import typer

from branch_node import cli_check, cli_import, cli_items, cli_read, cli_record, cli_setup
from branch_node.cli_output import TellingGroup

app: Final = typer.Typer(
    cls=TellingGroup,
    no_args_is_help=True,
    add_completion=False,
    help="A branch's node: record, count, import, serve, ship.",
    context_settings={"help_option_names": ["-h", "--help"]},
)

for part in (cli_setup, cli_record, cli_import, cli_items, cli_read, cli_check):
    part.register(app)
