"""A stretch of a log taken apart into its commands, whose events stand together. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from shared.events import Event


class LoggedEvent(NamedTuple):
    """What stands at a sequence of a log. `event` is None where the line is not understood.

    `unfolded`: why it counts in no figure (it is in head office's quarantine), None where it does.
    """

    sequence: int
    hash: bytes
    event: Event | None
    unfolded: str | None = None


class LogCommand:
    """The events of one command: of all its lines, unless they follow an event that was not understood.

    `events` are those that are folded, which are all of them where `is_incomplete` is false.
    """

    __slots__ = ("entries", "events", "is_incomplete", "last")

    def __init__(self, entries: list[LoggedEvent]) -> None:
        self.entries = entries
        self.last = entries[-1]
        self.events: list[Event] = [each.event for each in entries if each.event is not None and each.unfolded is None]
        self.is_incomplete = len(self.events) < len(entries)

    @property
    def cut_in_front(self) -> bool:
        """Whether its first lines are missing here."""
        first = self.entries[0].event
        return first is not None and first.line > 1

    @property
    def items(self) -> set[str]:
        return {each.item_id for each in self.events if each.item_id is not None}


def commands_of(entries: Sequence[LoggedEvent], *, last_too: bool) -> list[LogCommand]:
    """The commands of consecutive entries, of which the first begins one.

    A last command that is not complete is left out, as more of it comes (`last_too`: not even then). The beginning of
    a new epoch may cut a command: that it is over shows in the next one. An event that is not understood counts as one
    of the command around it.
    """
    found: list[LogCommand] = []
    current: list[LoggedEvent] = []
    for entry in entries:
        if current and not _goes_on(current, entry):
            found.append(LogCommand(current))
            current = []
        current.append(entry)
    if current and (last_too or _is_complete(current)):
        found.append(LogCommand(current))
    return found


def _goes_on(current: Sequence[LoggedEvent], entry: LoggedEvent) -> bool:
    """Whether an entry is of the same command as those before it."""
    if _is_complete(current):
        return False
    before, event = current[-1], entry.event
    if event is None or before.event is None or entry.unfolded is not None or before.unfolded is not None:
        # What is not folded may say anything of its place and its epoch.
        return event is None or event.line > 1
    return (event.line, event.lines, event.epoch) == (before.event.line + 1, before.event.lines, before.event.epoch)


def _is_complete(current: Sequence[LoggedEvent]) -> bool:
    last = current[-1].event
    return last is not None and last.line == last.lines


def items_of(commands: Iterable[LogCommand]) -> set[str]:
    """The items that the events of these commands name."""
    return {item_id for each in commands for item_id in each.items}
