"""Changes that are decided and written in one transaction, whichever service has the database.

A `Plan` reads and decides, and gives what is to be written; it may raise a Problem, in which case nothing is written. A
`PlanDatabase` carries it out: a branch by its one writer, head office in a transaction of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

import msgspec
from sqlalchemy import Connection

Write = Callable[[Connection], None]


class PlannedChange(msgspec.Struct, frozen=True):
    """What a plan has decided. `writes` may not fail but with the database."""

    answer: Any = None
    writes: Sequence[Write] = ()


Plan = Callable[[Connection], PlannedChange]


class PlanDatabase(Protocol):
    """A service's database, to read and to carry out plans."""

    def reading(self) -> AbstractContextManager[Connection]:
        """One snapshot. Raises Problem where the database is unavailable."""
        ...

    def apply(self, plan: Plan) -> Any:
        """Carry out a plan in one transaction; its answer, once it is on disk. Raises Problem."""
        ...
