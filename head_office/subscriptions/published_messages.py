"""Where the messages of head office's logs are read from."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, Engine

from head_office.log.office_outbox import office_outbox
from head_office.problem_translation import translated
from shared.outbox.message_source import MessageReader
from shared.outbox.outbox_reader import OutboxReader
from shared.runtime.database.engine import snapshot


def message_reader(engine: Engine) -> MessageReader:
    """Reads what the logs publish."""

    @contextmanager
    def reading() -> Iterator[Connection]:
        with translated(), snapshot(engine) as connection:
            yield connection

    return OutboxReader(office_outbox(reading))
