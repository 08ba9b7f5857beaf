"""Where the messages of head office's logs are read from."""

from __future__ import annotations

from sqlalchemy import Engine

from shared.outbox.message_source import MessageReader


def message_reader(engine: Engine) -> MessageReader | None:  # noqa: ARG001 - what reads messages needs it
    """Reads what the logs publish; None: this version publishes nothing, so nobody can subscribe."""
    return None
