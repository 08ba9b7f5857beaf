"""The migrations make what the metadata says; the log cannot be changed; keys can be spread by location."""

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Engine, UniqueConstraint, inspect, text
from sqlalchemy.exc import IntegrityError

import head_office.database.contact_tables
import head_office.database.morning_tables
import head_office.database.office_schema
import head_office.database.order_tables
import head_office.database.purchase_tables  # noqa: F401 - adds its tables to the metadata
from head_office.database.schema import APPEND_ONLY, VERSION_TABLE, metadata

# These grow with what the group decides, not with events.
CATALOGUE = {"item", "api_key", "catalogue_head", "catalogue_entry"}
CATALOGUE |= {"subscription", "subscription_secret", "subscription_request"}
CATALOGUE |= {"inbound_source", "inbound_secret"}
# One for each making of a morning's reports, with the locations of it beside.
CATALOGUE |= {"purchasing_mail"}
CATALOGUE |= {"supplier", "purchase_order", "purchase_order_line", "purchase_order_number"}
# These grow with what other systems tell, which is not a log's: the keys of an order begin with its source.
CATALOGUE |= {"routed_order", "routed_event"}


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


def test_every_key_of_a_table_that_grows_with_events_contains_the_location() -> None:
    for table in metadata.sorted_tables:
        if table.name in CATALOGUE:
            continue
        keys = [tuple(table.primary_key.columns)]
        keys += [tuple(each.columns) for each in table.constraints if isinstance(each, UniqueConstraint)]
        keys += [tuple(index.columns) for index in table.indexes if index.unique]
        for columns in keys:
            assert "location_id" in {column.name for column in columns}, (table.name, columns)


@pytest.mark.parametrize("table", APPEND_ONLY)
@pytest.mark.parametrize("statement", ["UPDATE {} SET location_id = location_id", "DELETE FROM {}", "TRUNCATE {}"])
def test_the_log_refuses_to_be_changed(office: Engine, table: str, statement: str) -> None:
    with office.connect() as connection, pytest.raises(IntegrityError, match="append-only"):
        connection.execute(text(statement.format(table)))
