"""Statements of the sessions of this process: what happens behind each (races that are forced), and what the server
keeps of them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

from sqlalchemy import Connection, Engine, event, text

Note = Callable[[str], object]


class _StatementNotes:
    """Tells of each statement of an engine, but for those of the service's own threads. Listens for good: to begin or
    end listening while another thread runs a statement breaks that statement."""

    def __init__(self) -> None:
        self.told: tuple[Engine, Note] | None = None
        event.listen(Engine, "before_cursor_execute", self._listen)

    def _listen(self, connection: Connection, _cursor: object, statement: str, *_more: object) -> None:
        told = self.told
        if told is not None and connection.engine is told[0] and not threading.current_thread().name.startswith(OWN):
            told[1](statement)


OWN: Final = "larder-"
"""How the names of a service's own threads begin."""
_notes: Final = _StatementNotes()


@contextmanager
def noted_statements(engine: Engine) -> Iterator[list[str]]:
    """The statements that run on an engine, from whatever thread but a service's own."""
    ran: list[str] = []
    _notes.told = engine, ran.append
    try:
        yield ran
    finally:
        _notes.told = None


class _BehindStatements:
    """Calls something behind each statement of any thread but a service's own.

    Listens for good: other threads run statements meanwhile.
    """

    def __init__(self) -> None:
        self.happen: Callable[[], object] | None = None
        self._busy = threading.Lock()
        event.listen(Engine, "after_cursor_execute", self._listen)

    def _listen(self, *_arguments: Any) -> None:
        happen = self.happen
        if happen is None or threading.current_thread().name.startswith(OWN):
            return
        if self._busy.acquire(blocking=False):
            try:
                happen()
            finally:
                self._busy.release()


_behind: Final = _BehindStatements()


@contextmanager
def behind_every_statement(happen: Callable[[], object]) -> Iterator[None]:
    """Call `happen` after each statement of any session, but for those that come while it runs, as its own do."""
    _behind.happen = happen
    try:
        yield
    finally:
        _behind.happen = None


def prepared_statements(engine: Engine) -> int:
    """How many statements the server keeps prepared for a connection of the engine that has repeated one of them."""
    with engine.connect() as connection:
        for number in range(20):
            connection.execute(text("SELECT :number + 1"), {"number": number})
        return int(connection.execute(text("SELECT count(*) FROM pg_prepared_statements")).scalar_one())
