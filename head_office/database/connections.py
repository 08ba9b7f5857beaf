"""Head office's database, and connections to it for commands and for listening."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import psycopg
from sqlalchemy import Engine

from head_office.database.schema import MIGRATIONS, VERSION_TABLE
from head_office.settings import HeadOfficeSettings
from shared.runtime.database.engine import listening_connection, postgres_engine
from shared.runtime.postgres.service_database import ServiceDatabase

DATABASE: Final = ServiceDatabase(
    name="larder_head_office",
    migrations=MIGRATIONS,
    version_table=VERSION_TABLE,
    application="larder head-office",
    options={"max_connections": "300"},
)


@contextmanager
def opened(settings: HeadOfficeSettings) -> Iterator[Engine]:
    """An engine on the database, for a command."""
    with DATABASE.opened(settings) as url:
        engine = postgres_engine(
            url,
            pool_size=2,
            application_name="larder head-office",
            prepared_statements=settings.prepared_statements,
        )
        try:
            yield engine
        finally:
            engine.dispose()


def listener(url: str) -> psycopg.Connection[tuple[object, ...]]:
    """A connection to listen on. Raises psycopg.OperationalError."""
    return listening_connection(url, "larder head-office listener")
