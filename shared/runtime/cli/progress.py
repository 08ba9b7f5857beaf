"""Progress on standard error while a command runs; nothing is shown where that is no terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)


@contextmanager
def progress_bar(description: str, total: int) -> Iterator[Callable[[int], None]]:
    """A bar of `total` steps; gives a function that advances it by a number of steps."""
    with _progress(MofNCompleteColumn()) as bar:
        task = bar.add_task(description, total=total)
        yield lambda steps: bar.advance(task, steps)


@contextmanager
def file_progress(total: int) -> Iterator[Callable[[str, int], None]]:
    """A bar for each phase of reading a file of `total` bytes; gives `report(phase, bytes read so far)`."""
    tasks: dict[str, TaskID] = {}
    with _progress(DownloadColumn()) as bar:

        def report(phase: str, size: int) -> None:
            if phase not in tasks:
                tasks[phase] = bar.add_task(phase, total=total)
            bar.update(tasks[phase], completed=size)

        yield report


@contextmanager
def status_line(text: str = "") -> Iterator[Callable[[str], None]]:
    """A line with a spinner; gives a function that replaces its text, which may hold rich's markup."""
    with Console(stderr=True, highlight=False).status(text) as status:
        yield status.update


def _progress(count: ProgressColumn) -> Progress:
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), count, TimeRemainingColumn())
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
