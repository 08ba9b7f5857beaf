"""Plans carried out in transactions of head office's database, for routes and commands alike."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, Engine

from head_office.problem_translation import translated
from shared.runtime.database.engine import snapshot
from shared.runtime.database.planned_changes import Plan


class OfficeDatabase:
    """A PlanDatabase over head office's engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        with translated(), snapshot(self._engine) as connection:
            yield connection

    def apply(self, plan: Plan) -> Any:
        with translated(), self._engine.begin() as connection:
            change = plan(connection)
            for write in change.writes:
                write(connection)
        return change.answer
