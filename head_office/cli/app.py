"""The commands of `larder head-office`. They work on the database, whether head office is running or not."""

from __future__ import annotations

from typing import Final

from head_office.cli.command_hints import HINTS
from shared.runtime.cli.service_app import service_app

COMMANDS: Final = {
    "init": ("head_office.cli.setup_commands:init", "Make a head office: its database, its catalogue, an admin key."),
    "serve": ("head_office.cli.setup_commands:serve", "Run head office until Ctrl-C."),
    "locations": ("head_office.cli.location_commands:locations_app", "Locations of the group: list, add, change."),
    "items": (
        "head_office.cli.item_commands:items_app",
        "Items of the group: list, add, import, waiting, accept, map.",
    ),
    "levels": (
        "head_office.cli.level_commands:levels_app",
        "Reorder levels of the locations: list, set, remove, import.",
    ),
    "suppliers": (
        "head_office.cli.purchases.supplier_commands:suppliers_app",
        "Suppliers of the group: list, show, set, remove, import.",
    ),
    "purchase-orders": (
        "head_office.cli.purchases.office_purchase_commands:purchase_orders_app",
        "Orders to suppliers: list, show, create, change, close, import.",
    ),
    "keys": ("head_office.cli.key_commands:keys_app", "API keys of the whole group: list, add, rotate, revoke."),
    "quarantine": (
        "head_office.cli.quarantine_commands:quarantine_app",
        "Events that could not be folded: list, retry.",
    ),
    "stock": (
        "head_office.cli.stock_commands:stock",
        "Stock of the group, now, as of a moment, or as known at one; each figure with its freshness.",
    ),
    "reservations": (
        "head_office.cli.reservation_listing:reservations",
        "Reservations of the group by their logs, the newest first; each with its freshness.",
    ),
    "log": ("head_office.cli.stock_commands:log", "Head office's copy of a location's log."),
    "subscriptions": (
        "head_office.cli.subscription_commands:subscriptions_app",
        "Who is sent messages by webhook: list, add, show, pause, resume, remove, rotate, replay, deliveries.",
    ),
    "sources": (
        "head_office.cli.source_commands:sources_app",
        "Systems that may tell of their orders: list, add, rotate, remove.",
    ),
    "orders": (
        "head_office.cli.order_listing:orders_app",
        "Orders that other systems tell of: list, show; and which branch is waited for.",
    ),
    "report": (
        "head_office.cli.reports.report_commands:report_app",
        "Reports: purchasing, mornings, variance, usage, unmet-demand; as a table, JSON or a file.",
    ),
    "verify": (
        "head_office.cli.log_commands:verify_logs",
        "Verify every hash, every row beside the log, every projected figure, and that goods are conserved.",
    ),
    "rebuild": (
        "head_office.cli.log_commands:rebuild_projections",
        "Rebuild stock and transfers from the log; correct rows stay unchanged.",
    ),
}

app: Final = service_app("Head office: locations, items, keys, stock of the group, reports.", COMMANDS, hints=HINTS)
