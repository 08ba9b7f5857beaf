"""Alembic's entry into the coordinator's migrations."""

from shared.runtime.migrations import run_environment
from transfer_coordinator.schema import metadata

run_environment(metadata)
