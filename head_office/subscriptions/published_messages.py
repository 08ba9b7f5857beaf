"""Where the messages of head office's logs are read from."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, Engine

from head_office.log.office_outbox import heads_of, office_outbox
from head_office.problem_translation import translated
from shared.chain import Head
from shared.outbox.message_source import MessageReader
from shared.outbox.outbox_reader import OutboxReader
from shared.runtime.database.engine import snapshot


def message_reader(engine: Engine) -> MessageReader:
    """Reads what the logs publish."""

    @contextmanager
    def reading() -> Iterator[Connection]:
        with translated(), snapshot(engine) as connection:
            yield connection

    def heads(location_ids: Collection[str]) -> dict[str, Head]:
        with reading() as connection:
            return heads_of(connection, location_ids)

    return OutboxReader(office_outbox(reading), read_heads=heads)
