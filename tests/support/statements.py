"""Statements of the sessions of this process: what happens behind each (races that are forced), and what the server
keeps of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Engine, event, text


@contextmanager
def behind_every_statement(happen: Callable[[], object]) -> Iterator[None]:
    """Call `happen` after each statement of any session, but for those that it makes itself."""
    happening = False

    def listen(*_arguments: Any) -> None:
        nonlocal happening
        if not happening:
            happening = True
            try:
                happen()
            finally:
                happening = False

    event.listen(Engine, "after_cursor_execute", listen)
    try:
        yield
    finally:
        event.remove(Engine, "after_cursor_execute", listen)


def prepared_statements(engine: Engine) -> int:
    """How many statements the server keeps prepared for a connection of the engine that has repeated one of them."""
    with engine.connect() as connection:
        for number in range(20):
            connection.execute(text("SELECT :number + 1"), {"number": number})
        return int(connection.execute(text("SELECT count(*) FROM pg_prepared_statements")).scalar_one())
