"""The coordinator's database: the one that is named, or a PostgreSQL of its own in `--dir`; migrated before use."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from shared.runtime import postgres
from shared.runtime.database import postgres_engine, wait_for_database
from shared.runtime.migrations import migrate
from transfer_coordinator.schema import MIGRATIONS, VERSION_TABLE
from transfer_coordinator.settings import DATABASE, CoordinatorSettings, postgres_binaries

OPTIONS: Final = {"max_connections": "50"}


@contextmanager
def database(settings: CoordinatorSettings, *, serving: bool = False) -> Iterator[str]:
    """The URL of the database, migrated, for the length of the `with`.

    A PostgreSQL of our own is started by the service (`serving`); a command attaches to that one, or starts it for
    itself and stops it at the end. Raises PostgresError, Problem, DatabaseVersionError.
    """
    if settings.database_url is not None:
        url = settings.database_url.get_secret_value()
        prepare(url)
        yield url
        return
    binaries = postgres.find_binaries(postgres_binaries())
    folder = settings.postgres_folder
    starting = (
        postgres.start(folder, binaries=binaries, options=OPTIONS)
        if serving
        else postgres.attach_or_start(folder, binaries=binaries, options=OPTIONS)
    )
    with starting as cluster:
        cluster.create_database(DATABASE)
        url = cluster.url(DATABASE)
        prepare(url)
        yield url


def prepare(url: str) -> None:
    """Wait until the database answers, and bring it to this version's schema."""
    engine = postgres_engine(url, pool_size=1, application_name="larder transfer migrate")
    try:
        wait_for_database(engine)
        migrate(engine, MIGRATIONS, VERSION_TABLE)
    finally:
        engine.dispose()
