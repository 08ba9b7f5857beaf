"""Where this branch's messages are read from."""

from __future__ import annotations

from branch_node.database.store import Store
from shared.outbox.message_source import MessageReader


def message_reader(store: Store) -> MessageReader | None:  # noqa: ARG001 - what reads messages needs it
    """Reads what the log publishes; None: this version publishes nothing, so nobody can subscribe."""
    return None
