"""Alembic's entry into a branch's migrations; `shared.runtime.database.migrations.migrate` runs it."""

from branch_node.database.schema import metadata
from shared.runtime.database.migrations import run_environment

run_environment(metadata)
