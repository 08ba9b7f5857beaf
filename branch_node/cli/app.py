"""`larder branch …`: a branch's node at the command line.

Only the module of the command that is called is imported: a till that records one sale should not wait for the parts
that serve.
"""

from __future__ import annotations

from typing import Final

from branch_node.cli.command_hints import HINTS
from shared.runtime.cli.service_app import service_app

COMMANDS: Final = {
    "init": ("branch_node.cli.setup_commands:init", "Make a branch's node, or change its settings."),
    "serve": (
        "branch_node.cli.setup_commands:serve",
        "Run the node: API, pages, shipping; with or without a line to head office.",
    ),
    "record": (
        "branch_node.cli.record_commands:record",
        "Record one event: a delivery, a sale, waste, use, a return, an adjustment, a count.",
    ),
    "order": ("branch_node.cli.record_commands:order", "Record an order, replace it, or cancel it."),
    "reserve": ("branch_node.cli.reserve_commands:reserve", "Reserve stock for an order, all its lines or none."),
    "reservations": (
        "branch_node.cli.reserve_commands:reservations_app",
        "List the reservations; show, confirm or release one.",
    ),
    "purchase-orders": (
        "branch_node.cli.purchases.supplier_order_commands:purchase_orders_app",
        "Orders to suppliers: list them, show what is open.",
    ),
    "receive": (
        "branch_node.cli.purchases.receive_command:receive",
        "Record what was delivered of an order to a supplier.",
    ),
    "sources": (
        "branch_node.cli.source_commands:sources_app",
        "Systems that may tell of their orders: list, add, rotate the secret, remove.",
    ),
    "count": ("branch_node.cli.record_commands:count", "Record what was counted."),
    "void": (
        "branch_node.cli.correction_commands:void",
        "Void an event, or all that its command recorded; say what still stands.",
    ),
    "review": ("branch_node.cli.correction_commands:review", "Record that a person reviewed an event."),
    "import": ("branch_node.cli.imports.import_command:import_file", "Import a till's CSV, each row exactly once."),
    "imports": ("branch_node.cli.imports.imports_commands:imports_app", "List the imports of files; show or undo one."),
    "items": ("branch_node.cli.item_commands:items_app", "List the items known here; add or import items."),
    "keys": ("branch_node.cli.key_commands:keys_app", "Keys that count at this node: list, add, rotate, revoke."),
    "levels": ("branch_node.cli.level_commands:levels_app", "Reorder levels here: list, set, remove."),
    "stock": ("branch_node.cli.read_commands:stock", "What is on hand, reserved and available, now or then."),
    "log": ("branch_node.cli.read_commands:log", "The events of this location."),
    "explain": ("branch_node.cli.read_commands:explain", "Why a figure is what it is."),
    "status": (
        "branch_node.cli.read_commands:status",
        "Where the log ends, what waits to be shipped, how shipping stands.",
    ),
    "clock": ("branch_node.cli.clock_commands:clock_app", "Show the clock, confirm it, repair what it dated wrongly."),
    "subscriptions": (
        "branch_node.cli.messaging.subscription_commands:subscriptions_app",
        "Who is sent messages by webhook: list, add, show, pause, resume, remove, rotate, replay, deliveries.",
    ),
    "verify": (
        "branch_node.cli.check_commands:verify",
        "Verify the log's chain, and that every figure is the fold of the log.",
    ),
    "sync": (
        "branch_node.cli.check_commands:sync",
        "Ship everything that waits, and take what head office has for this location.",
    ),
}

app: Final = service_app(
    "A branch's node: record, count, import, serve, ship.",
    COMMANDS,
    hints=HINTS,
    expected_errors=(
        "branch_node.database.store:AlreadyWriting",
        "branch_node.database.store:LocationDiffers",
        "branch_node.database.witness:WitnessUnusable",
    ),
)
