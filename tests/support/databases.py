"""Fresh PostgreSQL databases for the tests, from one server a worker."""

import os
import shutil
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from psycopg import sql
from sqlalchemy import URL, make_url

from shared.runtime.postgres import launcher
from tests.support.strict_skips import docker_answers

ENVIRONMENT = "LARDER_TEST_DATABASE_URL"
EMBEDDED = "embedded"  # as the URL: pass Docker over
IMAGE_SETTING = "LARDER_TEST_POSTGRES_IMAGE"
IMAGE = "postgres:17"
"""The image of the container, where the setting names no other."""
# Only the machine's crash could tell the difference, and no test crashes the machine.
FAST = {"fsync": "off", "full_page_writes": "off"}
OPTIONS = {"max_connections": "300", "wal_level": "logical"}


class Databases:
    """Makes databases on one server, and drops what is left of them at the end.

    fast: whether the server does not sync, so that copying a template's files beats writing them to the log.
    postmaster: the id of the process that starts one for each connection, where that is ours.
    """

    def __init__(self, url: str, *, fast: bool, postmaster: int | None = None) -> None:
        self.postmaster = postmaster
        self._url = make_url(url).set(drivername="postgresql+psycopg")
        self._strategy = sql.SQL(" STRATEGY FILE_COPY" if fast else "")
        self._templates: dict[Callable[[str], object], str] = {}
        self._made: set[str] = set()

    def create(self, prepare: Callable[[str], object] | None = None) -> str:
        """The URL of a new database: empty, or as `prepare(url)` leaves one. That runs once a session; all further
        databases are copies. It must close its connections, and be a function of a module, not a lambda."""
        template = "template0"
        if prepare is not None:
            if prepare not in self._templates:
                url = self.create()
                prepare(url)
                self._templates[prepare] = str(make_url(url).database)
            template = self._templates[prepare]
        name = f"larder_test_{uuid.uuid4().hex}"
        create = sql.SQL("CREATE DATABASE {} TEMPLATE {}{}")
        self._execute(create.format(sql.Identifier(name), sql.Identifier(template), self._strategy))
        self._made.add(name)
        return self._url.set(database=name).render_as_string(hide_password=False)

    def drop(self, url: str) -> None:
        """Drop one of ours, whoever is still connected to it."""
        name = str(make_url(url).database)
        assert name in self._made, f"{name} was not made here"
        self._execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))
        self._made.discard(name)

    @contextmanager
    def fresh(self, prepare: Callable[[str], object] | None = None) -> Iterator[str]:
        """A database for the length of the `with`."""
        url = self.create(prepare)
        try:
            yield url
        finally:
            self.drop(url)

    def drop_all(self) -> None:
        for name in list(self._made):
            self.drop(self._url.set(database=name).render_as_string(hide_password=False))

    def _execute(self, statement: sql.Composed) -> None:
        with psycopg.connect(_conninfo(self._url), autocommit=True) as connection:
            connection.execute(statement)


@contextmanager
def database_server(folder: Path) -> Iterator[Databases]:
    """The server that LARDER_TEST_DATABASE_URL names, else a container, where a Docker engine answers, else the
    embedded one, in `folder`, which goes away with it."""
    given = os.environ.get(ENVIRONMENT)
    if given and given != EMBEDDED:
        databases = Databases(given, fast=False)
        yield databases
        databases.drop_all()
    elif not given and docker_answers():
        with _container() as url:
            yield Databases(url, fast=True)
    else:
        override = os.environ.get("LARDER_PG_BIN")
        binaries = launcher.find_binaries(Path(override) if override else None)
        with launcher.start(folder, binaries=binaries, options=FAST | OPTIONS) as cluster:
            postmaster = int((folder / "pgdata" / "postmaster.pid").read_text().split("\n", 1)[0])
            yield Databases(cluster.url(), fast=True, postmaster=postmaster)
        shutil.rmtree(folder)


def container_image() -> str:
    """The image that the tests' PostgreSQL runs from, where a Docker engine answers: a mirror's, or another version."""
    return os.environ.get(IMAGE_SETTING) or IMAGE


@contextmanager
def _container() -> Iterator[str]:
    from testcontainers.community.postgres import PostgresContainer

    settings = [part for name, value in (FAST | OPTIONS).items() for part in ("-c", f"{name}={value}")]
    with PostgresContainer(container_image(), driver="psycopg").with_command(settings) as container:
        yield container.get_connection_url()


def _conninfo(url: URL) -> str:
    return url.set(drivername="postgresql").render_as_string(hide_password=False)
