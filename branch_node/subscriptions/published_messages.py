"""Where this branch's messages are read from."""

from __future__ import annotations

from branch_node.database.branch_outbox import branch_outbox
from branch_node.database.store import Store
from shared.outbox.message_source import MessageReader
from shared.outbox.outbox_reader import OutboxReader


def message_reader(store: Store, location_id: str) -> MessageReader:
    """Reads what the log publishes."""
    return OutboxReader(branch_outbox(store, location_id))
