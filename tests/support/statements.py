"""Something that happens behind every statement of the sessions of this process: races that are forced."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Engine, event


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
