"""Migration of a service's database to the schema of its code, with alembic, inside the program.

Each service has its own history (a folder ``migrations`` inside its package, with ``versions`` in it) and its own
version table, so services may share a database. Its ``env.py`` is two lines::

    from shared.runtime.database.migrations import run_environment
    run_environment(metadata)
"""

from __future__ import annotations

import zlib
from pathlib import Path

import sqlalchemy as sa
from alembic import command, context
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from shared.runtime.database.engine import translate_driver_errors

LOCK_WAIT = "60s"


class DatabaseVersionError(Exception):
    """The database's version does not fit the code. The text is one line: what is wrong and what to do."""


def migrate(engine: sa.Engine, script_location: Path, version_table: str) -> str:
    """Bring the database to the newest revision, in one transaction; returns that revision.

    Concurrent migrations wait for each other. Raises DatabaseVersionError where the database is newer than the code,
    and Problem where it is busy, unreachable or its disk is full. SQLite needs the writer's engine.
    """
    with translate_driver_errors(), engine.begin() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(sa.text(f"SET LOCAL lock_timeout = '{LOCK_WAIT}'"))
            key = zlib.crc32(f"larder migrate {version_table}".encode())
            connection.execute(sa.text("SELECT pg_advisory_xact_lock(:key)"), {"key": key})
            # No timeout for the migrations themselves: a long upgrade must not be aborted halfway.
            connection.execute(sa.text("SET LOCAL lock_timeout = 0"))
        current, newest = _versions(connection, script_location, version_table)
        if current != newest:
            config = _config(script_location)
            config.attributes["connection"] = connection
            config.attributes["version_table"] = version_table
            command.upgrade(config, "head")
        return newest


def pending_upgrade(engine: sa.Engine, script_location: Path, version_table: str) -> bool:
    """Whether ``migrate`` would change the database. Raises as ``migrate`` does."""
    with translate_driver_errors(), engine.connect() as connection:
        current, newest = _versions(connection, script_location, version_table)
        return current != newest


def _config(script_location: Path) -> Config:
    config = Config()
    # Alembic's configuration parser interpolates "%".
    config.set_main_option("script_location", str(script_location).replace("%", "%%"))
    return config


def _versions(connection: sa.Connection, script_location: Path, version_table: str) -> tuple[str | None, str]:
    """(the database's revision or None, the code's newest one)."""
    scripts = ScriptDirectory.from_config(_config(script_location))
    newest = scripts.get_current_head()
    if newest is None:
        raise DatabaseVersionError(f"there are no migrations in {script_location}: install Larder again")
    found = MigrationContext.configure(connection, opts={"version_table": version_table}).get_current_revision()
    known = {script.revision for script in scripts.walk_revisions()}
    if found is not None and found not in known:
        raise DatabaseVersionError(
            f"the database is of a newer Larder (revision {found}; this one knows up to {newest}): upgrade Larder, "
            "or restore a backup made by this version"
        )
    return found, newest


def run_environment(metadata: sa.MetaData) -> None:
    """What a service's ``env.py`` calls: run the migrations on the connection, in the transaction, of ``migrate``."""
    attributes = context.config.attributes
    context.configure(
        connection=attributes["connection"],
        version_table=attributes["version_table"],
        target_metadata=metadata,
        transactional_ddl=True,
    )
    context.run_migrations()
