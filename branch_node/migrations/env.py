"""Alembic's way in; `shared.runtime.migrations.migrate` is ours."""

from branch_node.schema import metadata
from shared.runtime.migrations import run_environment

run_environment(metadata)
