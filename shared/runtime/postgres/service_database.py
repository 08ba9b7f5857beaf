"""The database of a service on PostgreSQL: at a given URL, or embedded in `--dir`; migrated before use."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from sqlalchemy import Connection, make_url

from shared.runtime.database.engine import postgres_engine, wait_for_database
from shared.runtime.database.migrations import migrate
from shared.runtime.postgres import launcher
from shared.runtime.postgres.launcher import Cluster
from shared.runtime.settings import PostgresSettings, postgres_binaries

GLANCE_SECONDS: Final = 2
"""How long a glance at a database waits for its connection, and then for its answer."""


class ServingDatabase(NamedTuple):
    """The database of a running service: its URL, and why the service cannot go on with it, or None."""

    url: str
    problem: Callable[[], str | None]


@dataclass(frozen=True)
class ServiceDatabase:
    """How to open it. `name` and `options` are for the embedded PostgreSQL; `application` names the connections."""

    name: str
    migrations: Path
    version_table: str
    application: str
    options: Mapping[str, str]

    @contextmanager
    def opened(self, settings: PostgresSettings) -> Iterator[str]:
        """The URL of the database, migrated, for a command: an embedded PostgreSQL that runs is used, else one is
        started and stopped at the end. Raises PostgresError, Problem, DatabaseVersionError."""
        with self._opened(settings, launcher.attach_or_start) as (url, _):
            yield url

    @contextmanager
    def serving(self, settings: PostgresSettings) -> Iterator[ServingDatabase]:
        """The same for the service, which starts its embedded PostgreSQL itself."""
        with self._opened(settings, launcher.start) as (url, cluster):
            yield ServingDatabase(url, lambda: _problem(cluster))

    @contextmanager
    def _opened(
        self, settings: PostgresSettings, start: Callable[..., Cluster]
    ) -> Iterator[tuple[str, Cluster | None]]:
        if settings.database_url is not None:
            url = settings.database_url.get_secret_value()
            self.prepare(url, prepared_statements=settings.prepared_statements)
            yield url, None
            return
        binaries = launcher.find_binaries(postgres_binaries())
        with start(settings.postgres_folder, binaries=binaries, options=self.options) as cluster:
            cluster.create_database(self.name)
            url = cluster.url(self.name)
            self.prepare(url)
            yield url, cluster

    @contextmanager
    def glance(self, settings: PostgresSettings) -> Iterator[Connection | None]:
        """A connection where the database runs already, else None: nothing is started, migrated or waited for long.

        Raises what the driver raises where it cannot be reached, or does not answer in GLANCE_SECONDS.
        """
        if settings.database_url is not None:
            url = settings.database_url.get_secret_value()
        else:
            cluster = launcher.attach(settings.postgres_folder, timeout=GLANCE_SECONDS)
            if cluster is None:
                yield None
                return
            url = cluster.url(self.name)
        engine = postgres_engine(
            make_url(url).update_query_dict({"connect_timeout": str(GLANCE_SECONDS)}).render_as_string(False),
            pool_size=1,
            application_name=self.application,
            prepared_statements=settings.prepared_statements,
        )
        try:
            with engine.connect() as connection:
                connection.exec_driver_sql(f"SET LOCAL statement_timeout = {GLANCE_SECONDS * 1_000}")
                yield connection
        finally:
            engine.dispose()

    def prepare(self, url: str, *, prepared_statements: bool = True) -> None:
        """Wait until the database answers, and migrate it to this version's schema."""
        engine = postgres_engine(
            url,
            pool_size=1,
            application_name=f"{self.application} migrate",
            prepared_statements=prepared_statements,
        )
        try:
            wait_for_database(engine)
            migrate(engine, self.migrations, self.version_table)
        finally:
            engine.dispose()


def _problem(cluster: Cluster | None) -> str | None:
    if cluster is None or cluster.running():
        return None
    return f"its PostgreSQL in {cluster.directory} has ended: the log there says why. Start the service again"
