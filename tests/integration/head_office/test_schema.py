"""The migrations make what the metadata says; the log cannot be changed; keys can be spread by location."""

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Engine, UniqueConstraint, inspect, text
from sqlalchemy.exc import IntegrityError

from head_office.schema import APPEND_ONLY, VERSION_TABLE, metadata

# These grow with locations, not with events.
PER_LOCATION = {"location", "head", "contact"}


def test_the_migrations_make_what_the_metadata_says(office: Engine) -> None:
    with office.connect() as connection:
        context = MigrationContext.configure(
            connection, opts={"version_table": VERSION_TABLE, "compare_type": True, "compare_server_default": True}
        )
        assert compare_metadata(context, metadata) == []
        inspector = inspect(connection)
        for table in metadata.sorted_tables:
            checks = {constraint["name"] for constraint in inspector.get_check_constraints(table.name)}
            expected = {
                constraint.name
                for constraint in table.constraints
                if constraint.__visit_name__ in ("check_constraint", "table_or_column_check_constraint")
            }
            assert checks == expected, table.name


def test_every_key_of_the_log_contains_the_location() -> None:
    log_tables = ("event", "head", "voided", "log_segment", "ingest_batch", "quarantine", "item_unit", "stock",
                  "transfer_line", "contact", "location")  # fmt: skip
    for name in log_tables:
        table = metadata.tables[name]
        keys = [tuple(table.primary_key.columns)]
        keys += [tuple(each.columns) for each in table.constraints if isinstance(each, UniqueConstraint)]
        keys += [tuple(index.columns) for index in table.indexes if index.unique]
        for columns in keys:
            assert "location_id" in {column.name for column in columns}, (name, columns)


@pytest.mark.parametrize("table", APPEND_ONLY)
@pytest.mark.parametrize("statement", ["UPDATE {} SET location_id = location_id", "DELETE FROM {}", "TRUNCATE {}"])
def test_the_log_refuses_to_be_changed(office: Engine, table: str, statement: str) -> None:
    with office.connect() as connection, pytest.raises(IntegrityError, match="append-only"):
        connection.execute(text(statement.format(table)))
