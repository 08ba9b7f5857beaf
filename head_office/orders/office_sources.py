"""The sources that may tell head office of orders."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import Engine

from head_office.database.office_schema import SOURCES
from head_office.office_transactions import OfficeDatabase
from head_office.problems import PROBLEMS
from shared.orders.source_desk import SourceDesk


def office_source_desk(engine: Engine, now: Callable[[], int]) -> SourceDesk:
    """The desk of head office's sources, for routes and for commands; `now` gives the time, microseconds UTC."""
    return SourceDesk(SOURCES, OfficeDatabase(engine), PROBLEMS, now)
