"""What the migrations make is what the metadata says, on both databases, and starting twice is harmless."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy import Connection, Engine, create_engine, insert, text
from sqlalchemy.exc import IntegrityError

from branch_node.database.schema import REORDER_LEVEL, VERSION_TABLE, metadata
from branch_node.database.stock.level_rows import acting_levels
from branch_node.database.store import MIGRATIONS, LocationDiffers, Store
from branch_node.database.stored_runs import read_runs, store_run
from branch_node.model import ClockRun, RunKind
from shared.catalogue_messages import CATALOGUE_START
from shared.event_log import append_only_ddl
from shared.levels.reorder_levels import ReorderLevel, level_faults
from shared.runtime.database.migrations import migrate, pending_upgrade
from tests.support.branch import HERE, branch_store


def test_migrated_and_declared_are_the_same(any_store: Store, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    declared = f"sqlite:///{tmp_path / 'declared.db'}"
    if not any_store.on_sqlite:
        make: Callable[[], str] = request.getfixturevalue("postgres_url_factory")
        declared = make()
    engine = create_engine(declared)
    metadata.create_all(engine)
    migrated = create_engine(any_store.url)
    assert _shape(migrated) == _shape(engine)
    with migrated.connect() as connection:
        context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE})
        assert compare_metadata(context, metadata) == []
    engine.dispose()
    migrated.dispose()


def _shape(engine: Engine) -> dict[str, str]:
    """Tables, columns, checks and indexes with their conditions, as the database itself tells them."""
    queries = {
        "sqlite": ["SELECT name, sql FROM sqlite_master WHERE type IN ('table', 'index') AND sql IS NOT NULL"],
        "postgresql": [
            "SELECT table_name || '.' || column_name, data_type || is_nullable || coalesce(column_default, '')"
            " FROM information_schema.columns WHERE table_schema = 'public'",
            "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'",
            "SELECT conrelid::regclass || '.' || conname, pg_get_constraintdef(oid) FROM pg_constraint"
            " WHERE connamespace = 'public'::regnamespace",
        ],
    }
    with engine.connect() as connection:
        found = [row for query in queries[engine.dialect.name] for row in connection.execute(text(query))]
    return {
        name: re.sub(r"\s+", " ", re.sub(r'"', "", definition))
        for name, definition in found
        if VERSION_TABLE not in name and VERSION_TABLE not in definition
    }


def test_the_log_is_guarded_as_the_domain_says(any_store: Store) -> None:
    engine = create_engine(any_store.url)
    dialect = engine.dialect.name
    query = {
        "sqlite": "SELECT name FROM sqlite_master WHERE type = 'trigger'",
        "postgresql": "SELECT tgname FROM pg_trigger WHERE NOT tgisinternal",
    }[dialect]
    with engine.connect() as connection:
        there = set(connection.execute(text(query)).scalars())
    engine.dispose()
    wanted = {
        match[1]
        for table in ("event", "voided")
        for statement in append_only_ddl(table, dialect)
        if (match := re.search(r"CREATE TRIGGER (\w+)", statement))
    }
    assert wanted | {"head_strict", "head_available"} == there


def test_setting_up_again_changes_nothing(any_store: Store, tmp_path: Path) -> None:
    branch_store(tmp_path, any_store.url).close()
    engine = any_store.writing_engine()
    assert not pending_upgrade(engine, MIGRATIONS, VERSION_TABLE)
    engine.dispose()
    other = HERE.__class__(location_id="TRI-01", name="Tripoli", timezone="Asia/Beirut")
    with pytest.raises(LocationDiffers, match="BEY-01"):
        any_store.set_up(other)


@contextmanager
def database_at(url: str, revision: str) -> Iterator[Connection]:
    """A transaction on the empty database at `url`, brought to a revision."""
    engine = create_engine(url)
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    with engine.begin() as connection:
        config.attributes.update(connection=connection, version_table=VERSION_TABLE)
        command.upgrade(config, revision)
        yield connection
    engine.dispose()


def test_the_runs_of_the_clock_from_before_they_were_numbered_are_kept(any_url: str) -> None:
    with database_at(any_url, "0006") as connection:
        connection.execute(text("INSERT INTO clock_run VALUES (3, 1700000000000000, 'jump', 0)"))
        connection.execute(text("INSERT INTO clock_run VALUES (9, 1800000000000000, 'settlement', -5)"))
    engine = create_engine(any_url)
    migrate(engine, MIGRATIONS, VERSION_TABLE)
    with engine.begin() as connection:
        assert read_runs(connection, 0) == [
            ClockRun(first_sequence=3, started_at=1_700_000_000_000_000, kind=RunKind.JUMP),
            ClockRun(first_sequence=9, started_at=1_800_000_000_000_000, kind=RunKind.SETTLEMENT, correction=-5),
        ]
        store_run(connection, ClockRun(first_sequence=9, started_at=1_900_000_000_000_000, kind=RunKind.START))
        assert [run.kind for run in read_runs(connection, 3)] == [RunKind.SETTLEMENT, RunKind.START]
    engine.dispose()


def test_levels_that_head_office_had_removed_go_away_and_the_others_stay(any_url: str) -> None:
    with database_at(any_url, "0008") as connection:
        for level in ("('gone', 0, 0)", "('milk', 2000, 12000)", "('none-kept', 0, 500)", "('kept-full', 500, 500)"):
            connection.execute(text(f"INSERT INTO reorder_level VALUES {level}"))
    engine = create_engine(any_url)
    migrate(engine, MIGRATIONS, VERSION_TABLE)
    with engine.begin() as connection:
        kept = acting_levels(connection)
    assert kept == {
        "milk": ReorderLevel(reorder_point=2_000, order_up_to=12_000),
        "none-kept": ReorderLevel(reorder_point=0, order_up_to=500),
        # At 0.5 nothing was to be ordered, below it up to 0.5.
        "kept-full": ReorderLevel(reorder_point=499, order_up_to=500),
    }
    engine.dispose()


def test_the_catalogue_is_pulled_again_after_levels_have_changed_their_form(any_url: str) -> None:
    with database_at(any_url, "0010") as connection:
        state = f"('BEY-01', 7, '{'ab' * 32}', 3)"
        columns = "(location_id, catalogue_version, catalogue_hash, instructions_after)"
        connection.execute(text(f"INSERT INTO sync_state {columns} VALUES {state}"))
    engine = create_engine(any_url)
    migrate(engine, MIGRATIONS, VERSION_TABLE)
    with engine.begin() as connection:
        cursor = connection.execute(text("SELECT catalogue_version, catalogue_hash FROM sync_state")).one()
    assert tuple(cursor) == (0, CATALOGUE_START)
    engine.dispose()


WRONG_LEVELS: list[dict[str, Any]] = [
    {"reorder_point": -1, "order_up_to": 5},
    {"reorder_point": 5, "order_up_to": 5},
    {"reorder_point": 5},
    {"reorder_point": 5, "order_up_to": 9, "order_quantity": 1},
    {"reorder_point": 5, "order_quantity": 0},
    {"reorder_point": 5, "order_up_to": 10**12 + 1},
    {"reorder_point": 5, "order_up_to": 9, "pack_size": 0},
    {"reorder_point": 5, "order_up_to": 9, "lead_days": -1},
    {"reorder_point": 5, "order_up_to": 9, "supplier_id": ""},
]


def test_the_database_refuses_the_levels_that_the_rules_refuse(any_url: str) -> None:
    engine = create_engine(any_url)
    migrate(engine, MIGRATIONS, VERSION_TABLE)
    good: dict[str, Any] = {
        "reorder_point": 0,
        "order_quantity": 10**12,
        "pack_size": 1,
        "lead_days": 0,
        "supplier_id": "x" * 64,
    }
    for place, level in enumerate([good, *WRONG_LEVELS]):
        assert (next(level_faults(ReorderLevel(**level)), None) is None) is (level is good), level
        row = {"item_id": f"item-{place}", "set_here": True, **level}
        with engine.connect() as connection:
            if level is good:
                connection.execute(insert(REORDER_LEVEL).values(row))
                continue
            with pytest.raises(IntegrityError):
                connection.execute(insert(REORDER_LEVEL).values(row))
    engine.dispose()
