"""The database of a service on PostgreSQL: at a given URL, or embedded in `--dir`; migrated before use."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from shared.runtime.database.engine import postgres_engine, wait_for_database
from shared.runtime.database.migrations import migrate
from shared.runtime.postgres import launcher
from shared.runtime.settings import PostgresSettings, postgres_binaries


@dataclass(frozen=True)
class ServiceDatabase:
    """How to open it. `name` and `options` are for the embedded PostgreSQL; `application` names the connections."""

    name: str
    migrations: Path
    version_table: str
    application: str
    options: Mapping[str, str]

    @contextmanager
    def opened(self, settings: PostgresSettings, *, serving: bool = False) -> Iterator[str]:
        """The URL of the database, migrated, for the length of the `with`.

        An embedded PostgreSQL is started by the service (`serving`); a command attaches to that one, or starts its own
        and stops it at the end. Raises PostgresError, Problem, DatabaseVersionError.
        """
        if settings.database_url is not None:
            url = settings.database_url.get_secret_value()
            self.prepare(url)
            yield url
            return
        binaries = launcher.find_binaries(postgres_binaries())
        folder = settings.postgres_folder
        start = launcher.start if serving else launcher.attach_or_start
        with start(folder, binaries=binaries, options=self.options) as cluster:
            cluster.create_database(self.name)
            url = cluster.url(self.name)
            self.prepare(url)
            yield url

    def prepare(self, url: str) -> None:
        """Wait until the database answers, and migrate it to this version's schema."""
        engine = postgres_engine(url, pool_size=1, application_name=f"{self.application} migrate")
        try:
            wait_for_database(engine)
            migrate(engine, self.migrations, self.version_table)
        finally:
            engine.dispose()
