"""Whether what the writer writes reaches the disk."""

from __future__ import annotations

from shared.runtime.problems import DATABASE_BUSY, Problem
from shared.runtime.telemetry import get_logger

log = get_logger("larder.writer")


class WriteHealth:
    """Why the last write failed, until one has succeeded."""

    def __init__(self) -> None:
        self._problem: Problem | None = None

    @property
    def failing(self) -> bool:
        return self._problem is not None

    @property
    def reason(self) -> str | None:
        """Why, as a text; None where nothing fails."""
        return None if self._problem is None else self._problem.detail or self._problem.title

    def note_failure(self, problem: Problem | None) -> None:
        """A write failed. None, and a database that is busy for a moment, change nothing."""
        if problem is None or problem.code == DATABASE_BUSY.code:
            return
        if self._problem is None:
            log.error("nothing can be recorded", reason=str(problem))
        self._problem = problem

    def note_success(self) -> None:
        """A write succeeded."""
        if self._problem is not None:
            log.warning("recording works again", reason=str(self._problem))
            self._problem = None
