"""The migrations make what the metadata says, and the triggers keep what the saga relies on."""

from __future__ import annotations

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Engine, inspect, text
from sqlalchemy.exc import IntegrityError

from tests.integration.transfer_coordinator.conftest import Bench, create
from transfer_coordinator.database.schema import APPEND_ONLY, MIGRATIONS, VERSION_TABLE, metadata


def test_the_migrations_make_what_the_metadata_says(database: Engine) -> None:
    with database.connect() as connection:
        options = {"version_table": VERSION_TABLE, "compare_type": True, "compare_server_default": True}
        found = compare_metadata(MigrationContext.configure(connection, opts=options), metadata)
        assert [each for each in found if "clock" not in str(each)] == []  # the tests' own table
        inspector = inspect(connection)
        for table in metadata.sorted_tables:
            checks = {constraint["name"] for constraint in inspector.get_check_constraints(table.name)}
            expected = {
                constraint.name
                for constraint in table.constraints
                if constraint.__visit_name__ in ("check_constraint", "table_or_column_check_constraint")
            }
            assert checks == expected, table.name


def test_append_only_in_the_migration_as_in_the_schema() -> None:
    source = (MIGRATIONS / "versions" / "0001_transfers.py").read_text()
    assert f"APPEND_ONLY = {APPEND_ONLY!r}".replace("'", '"') in source


@pytest.mark.parametrize("table", APPEND_ONLY)
@pytest.mark.parametrize(
    "statement", ["UPDATE {} SET transfer_id = transfer_id", "DELETE FROM {}", "TRUNCATE {} CASCADE"]
)
def test_journal_facts_and_lines_refuse_to_be_changed(bench: Bench, table: str, statement: str) -> None:
    worker = bench.worker()
    create(worker)
    bench.settle(worker)
    with bench.engine.connect() as connection, pytest.raises(IntegrityError, match="append-only"):
        connection.execute(text(statement.format(table)))


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ("UPDATE transfer SET token = token - 1", "only grows"),
        ("UPDATE transfer SET lease_holder = 'other', lease_expires_at = 1", "changes hands"),
        ("UPDATE transfer SET destination = 'C'", "does not change"),
        ("UPDATE transfer SET asked = '{}'", "does not change"),
        ("UPDATE transfer SET deadline = 1", "does not change"),
        ("DELETE FROM transfer", "never deleted"),
        ("TRUNCATE transfer CASCADE", "never deleted"),
        ("UPDATE transfer SET state = 'COMPLETED'", "transfer_end_is_whole"),
        ("UPDATE transfer SET state = 'SOMEWHERE'", "transfer_state"),
        ("UPDATE transfer SET lease_holder = NULL", "transfer_lease_is_whole"),
        ("INSERT INTO transfer_line VALUES ('t1', 2, 'rice', 0, 'kg')", "transfer_line_quantity"),
        ("INSERT INTO transfer_line VALUES ('t1', 2, 'milk', 1, 'l')", "transfer_line_item"),
        ("INSERT INTO journal VALUES ('nobody', 1, 1, 1, 'one', 'REQUESTED', NULL, NULL)", "foreign key"),
    ],
)
def test_the_database_refuses_what_may_never_be(bench: Bench, change: str, why: str) -> None:
    worker = bench.worker()
    create(worker)
    worker.step()
    with bench.engine.connect() as connection, pytest.raises(IntegrityError, match=why):
        connection.execute(text(change))


@pytest.mark.parametrize(
    "change",
    ["state = 'REVERSED'", "ended_at = ended_at + 1", "end_reason = 'other'",
     "state = 'IN_PENDING', ended_at = NULL, end_reason = NULL, due_at = 1"],
)  # fmt: skip
def test_an_ended_transfer_stays_as_it_ended(bench: Bench, change: str) -> None:
    worker = bench.worker()
    create(worker)
    bench.settle(worker)
    assert bench.state() == "COMPLETED"
    with bench.engine.connect() as connection, pytest.raises(IntegrityError, match="has ended as COMPLETED"):
        connection.execute(text(f"UPDATE transfer SET {change}"))


def test_source_and_destination_differ(database: Engine) -> None:
    statement = (
        "INSERT INTO transfer (transfer_id, source, destination, mode, created_at, state, asked, attempts, token, "
        "due_at, journal_length) VALUES ('x', 'A', 'A', 'immediate', 1, 'REQUESTED', '{}', 0, 0, 1, 0)"
    )
    with database.connect() as connection, pytest.raises(IntegrityError, match="transfer_goes_somewhere"):
        connection.execute(text(statement))
