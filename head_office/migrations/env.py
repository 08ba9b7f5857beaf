"""Alembic's entry into head office's migrations."""

import head_office.schema_office  # noqa: F401 - adds its tables to the metadata
from head_office.schema import metadata
from shared.runtime.migrations import run_environment

run_environment(metadata)
