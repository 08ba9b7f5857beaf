"""Alembic's way in; `shared.runtime.database.engine.migrations.migrate` is ours."""

from branch_node.database.schema import metadata
from shared.runtime.database.migrations import run_environment

run_environment(metadata)
