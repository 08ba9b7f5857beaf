"""Plans carried out by the one writer of a node."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any, Final

from sqlalchemy import Connection

from branch_node.database.store import Store
from branch_node.model import Command, Decision, View
from branch_node.writer.writer import Writer
from shared.runtime.database.planned_changes import Plan
from shared.runtime.problems import DATABASE_BUSY

LONGEST_WAIT: Final = 60.0


class ApplyPlan(Command):
    """Carry out a plan, in the transaction of the group. Answered with the plan's answer."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan

    def decide(self, view: View) -> Decision:
        change = self._plan(view.connection)
        return Decision(writes=change.writes, answer=change.answer)


class WriterDatabase:
    """A PlanDatabase over the node's readers and its one writer."""

    def __init__(self, store: Store, writer: Writer) -> None:
        self._store = store
        self._writer = writer

    def reading(self) -> AbstractContextManager[Connection]:
        return self._store.reading()

    def apply(self, plan: Plan) -> Any:
        try:
            return self._writer.submit(ApplyPlan(plan)).result(LONGEST_WAIT)
        except TimeoutError as error:
            raise DATABASE_BUSY("the writer did not get to it in time") from error
