"""Alembic's entry into the coordinator's migrations."""

from shared.runtime.database.migrations import run_environment
from transfer_coordinator.database.schema import metadata

run_environment(metadata)
