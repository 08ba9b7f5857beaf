"""`larder transfer …`: the transfer coordinator at the command line."""

from __future__ import annotations

from typing import Final

from shared.runtime.cli.service_app import service_app
from transfer_coordinator.cli.command_hints import HINTS

COMMANDS: Final = {
    "init": (
        "transfer_coordinator.cli.setup_commands:init",
        "Make a transfer coordinator, or give it another head office or key.",
    ),
    "serve": ("transfer_coordinator.cli.setup_commands:serve", "Run the coordinator until Ctrl-C."),
    "create": ("transfer_coordinator.cli.coordinator_commands:create", "Move goods from one location to another."),
    "show": (
        "transfer_coordinator.cli.coordinator_commands:show",
        "One transfer: its state and why, its events in the logs, and its journal.",
    ),
    "list": ("transfer_coordinator.cli.coordinator_commands:list_transfers", "Transfers, the newest first."),
    "cancel": (
        "transfer_coordinator.cli.coordinator_commands:cancel",
        "Cancel a transfer, as long as nothing was received.",
    ),
}

app: Final = service_app("The transfer coordinator: move stock between locations.", COMMANDS, hints=HINTS)
