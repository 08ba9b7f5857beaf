"""Alembic's entry into head office's migrations."""

import head_office.database.contact_tables
import head_office.database.morning_tables
import head_office.database.office_schema
import head_office.database.order_tables
import head_office.database.purchase_tables  # noqa: F401 - adds its tables to the metadata
from head_office.database.schema import metadata
from shared.runtime.database.migrations import run_environment

run_environment(metadata)
