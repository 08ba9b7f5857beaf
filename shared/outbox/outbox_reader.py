"""Reads the messages of a log: the log is the outbox, and its messages are made each time that they are read.

A page reads a bounded part of the log, never cutting a command. What it publishes follows from the log alone, so every
reader gets the same bytes, at a branch and at head office.

Head office may have events that it cannot fold yet (its quarantine). A reader waits before the command of such an
event and is told for what, so that nothing is left out and no figure is wrong. Who does not want to wait gives a cursor
behind it: then nothing is published of commands with items whose figures lack such an event, until it is folded.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Final, Protocol

import msgspec

from shared.chain import EMPTY, Head
from shared.events import MAX_LINES, Event
from shared.outbox.command_messages import command_messages, may_publish
from shared.outbox.kept_figures import KeptFigures, LogPlace
from shared.outbox.message_cursor import MAX_PART, MessageCursor
from shared.outbox.message_source import MessagePage, OutboxMessage, WaitsFor
from shared.outbox.recent_pages import PageRequest, RecentPages
from shared.outbox.recorded_commands import LogCommand, LoggedEvent, commands_of, items_of
from shared.outbox.running_figures import FigureSource, RunningFigures
from shared.problem_kinds import CURSOR_AHEAD

MOST_EVENTS: Final = MAX_LINES
"""Events that a page reads: room for the largest command."""
FEW_EVENTS: Final = 64
MOST_BYTES: Final = 1024 * 1024
"""A page ends with the message that takes it to so many bytes."""


class Incomplete(Protocol):
    """The items of whose figures it is not known whether they are complete."""

    def __contains__(self, item_id: object) -> bool: ...


class OutboxLog(FigureSource, Protocol):
    """One location's log, read in one snapshot."""

    @property
    def head(self) -> Head: ...

    def entries(self, after: int, limit: int) -> list[LoggedEvent]:
        """Up to `limit` entries after a sequence, without a gap."""
        ...

    def entry(self, sequence: int) -> LoggedEvent:
        """The entry at a sequence from 1 to that of the head."""
        ...

    def events_at(self, sequences: Sequence[int]) -> Mapping[int, Event]:
        """The folded events at these sequences."""
        ...

    def epoch_at(self, sequence: int) -> int:
        """The epoch of the event at a sequence from 1 to that of the head."""
        ...

    def incomplete(self, through: int) -> Incomplete:
        """The items whose figures lack an event up to a sequence."""
        ...


OpenLog = Callable[[str], AbstractContextManager[OutboxLog]]
"""Opens the log of a location. Raises Problem for a location that is not there, or where the database is away."""
ReadHeads = Callable[[Collection[str]], Mapping[str, Head]]
"""Reads the heads of several logs from one snapshot. Raises Problem, as `OpenLog`."""


class OutboxReader:
    """The MessageReader of a service, by the logs that it has. May be used by several threads.

    `read_heads` is given where one snapshot has several logs.
    """

    def __init__(
        self,
        open_log: OpenLog,
        kept: KeptFigures | None = None,
        recent: RecentPages | None = None,
        *,
        read_heads: ReadHeads | None = None,
    ) -> None:
        self._open_log = open_log
        self._read_heads = read_heads or self._heads_one_by_one
        self._kept = kept or KeptFigures()
        self._recent = recent or RecentPages()

    def read(
        self,
        location_id: str,
        after: MessageCursor,
        types: frozenset[str] | None,
        limit: int,
        *,
        shorter: bool = False,
    ) -> MessagePage:
        """At most `limit` messages after a cursor, of some types (full names) or of all.

        `shorter`: the last page that another reader was given will do, though the log has gone on since. Raises Problem
        409 `cursor-ahead`.
        """
        request = PageRequest(location_id, after, types, limit)
        with self._recent.one_at_a_time(request), self._open_log(location_id) as log:
            check_cursor(after, log.head)
            return _Page(log, request, self._kept, self._recent).read(shorter=shorter)

    def end(self, location_id: str) -> MessageCursor:
        """The cursor at the end of the log."""
        return self.ends((location_id,))[location_id]

    def ends(self, location_ids: Collection[str]) -> dict[str, MessageCursor]:
        """The cursors at the ends of these logs."""
        heads = self._read_heads(location_ids) if location_ids else {}
        return {each: MessageCursor(head.epoch, head.sequence, MAX_PART) for each, head in heads.items()}

    def _heads_one_by_one(self, location_ids: Collection[str]) -> dict[str, Head]:
        found = {}
        for each in location_ids:
            with self._open_log(each) as log:
                found[each] = log.head
        return found

    def check(self, location_id: str, after: MessageCursor) -> None:
        """Raise Problem 409 `cursor-ahead` for a cursor that `read` would refuse."""
        with self._open_log(location_id) as log:
            check_cursor(after, log.head)

    def count_behind(self, location_id: str, after: MessageCursor) -> int:
        """How many events of the log come after a cursor; 0 of one that is ahead."""
        with self._open_log(location_id) as log:
            return log.head.sequence - place_of(log, after)


def check_cursor(after: MessageCursor, head: Head) -> None:
    """Raise Problem 409 `cursor-ahead` for a cursor behind which the log cannot have been read."""
    if (after.epoch, after.sequence) > (head.epoch, head.sequence):
        raise CURSOR_AHEAD(f"the log ends at epoch {head.epoch}, event {head.sequence}; the cursor is {after}")


def place_of(log: OutboxLog, after: MessageCursor) -> int:
    """The sequence of the last event that is not after a cursor, 0 where all are.

    It is the cursor's own, unless the log went on in another epoch from before it.
    """
    wanted = after.epoch, after.sequence
    low, high = 0, log.head.sequence
    if wanted <= (EMPTY.epoch, 0):
        return 0
    if 0 < after.sequence <= high:
        entry = log.entry(after.sequence)
        if entry.unfolded is None and entry.event is not None and entry.event.epoch == after.epoch:
            return after.sequence
    while low < high:
        middle = (low + high + 1) // 2
        if (log.epoch_at(middle), middle) <= wanted:
            low = middle
        else:
            high = middle - 1
    return low


class _Page:
    """One page being read, from one snapshot of the log."""

    def __init__(self, log: OutboxLog, request: PageRequest, kept: KeptFigures, recent: RecentPages) -> None:
        self._log = log
        self._request = request
        self._location_id, self._after, self._types, self._limit = request
        self._kept = kept
        self._recent = recent
        self._messages: list[OutboxMessage] = []
        self._size = 0
        self._next = request.after
        self._ends = False
        self._full = False
        self._withheld = False
        self._waits_for: WaitsFor | None = None

    def read(self, *, shorter: bool) -> MessagePage:
        place = place_of(self._log, self._after)
        begin = self._place(place)
        found = self._recent.find(self._request, begin)
        if found is not None and self._still_leads_to(found[1]):
            page, end = found
            if not page.is_last or end.sequence == self._log.head.sequence:
                return page
            if shorter:
                return msgspec.structs.replace(page, is_last=False)
        incomplete = self._log.incomplete(place)
        start = self._start(place)
        commands = self._readable(self._commands(start), place)
        if commands and commands[0].is_incomplete:
            # The cursor is behind it, so the figures begin behind it, too.
            self._pass_over(commands[0])
            start = commands.pop(0).last.sequence
        wanted = [self._is_wanted(each, incomplete) for each in commands]
        if any(wanted):
            self._publish(start, commands, wanted)
        elif commands:
            self._pass_over(commands[-1])
        page = self._page()
        if page.messages and not self._withheld and page.waits_for is None:
            ended = self._place(page.next.sequence)
            assert ended is not None
            self._recent.keep(self._request, begin, page, ended)
        return page

    def _page(self) -> MessagePage:
        if self._full:
            return MessagePage(self._messages, self._next)
        is_last = self._ends or self._waits_for is not None
        return MessagePage(self._messages, self._next, is_last, self._waits_for)

    def _still_leads_to(self, end: LogPlace) -> bool:
        """Whether the log, which is the same up to where a page began, is so up to where it ended."""
        return end.sequence <= self._log.head.sequence and self._place(end.sequence) == end

    def _start(self, place: int) -> int:
        """The sequence after which the page reads: from the beginning of the command that the cursor is in."""
        if place == 0:
            return 0
        entry = self._log.entry(place)
        event = entry.event
        if event is None:
            return place
        passed = self._after >= (self._epoch(entry), place, MAX_PART) and event.line == event.lines
        return place if passed else max(place - event.line, 0)

    def _epoch(self, entry: LoggedEvent) -> int:
        # What is not folded may say anything of its epoch.
        return entry.event.epoch if entry.event and entry.unfolded is None else self._log.epoch_at(entry.sequence)

    def _commands(self, start: int) -> list[LogCommand]:
        entries: list[LoggedEvent] = []
        found: list[LogCommand] = []
        # A page of a few messages needs few events.
        for most in (min(max(FEW_EVENTS, self._limit), MOST_EVENTS), MOST_EVENTS):
            entries = self._log.entries(start, most)
            found = commands_of(entries, last_too=False)
            self._ends = len(entries) < most
            if found or self._ends:
                break
        else:
            # What takes a whole page and is no complete command has lines that are not understood.
            found = commands_of(entries, last_too=True)
        self._wait_for(entries[sum(len(each.entries) for each in found) :])
        return found

    def _wait_for(self, entries: Iterable[LoggedEvent]) -> None:
        """Tell of the first of these that is not folded."""
        first = next((each for each in entries if each.unfolded is not None), None)
        if first is not None:
            self._waits_for = WaitsFor(first.sequence, first.unfolded or "")

    def _readable(self, commands: Sequence[LogCommand], place: int) -> list[LogCommand]:
        """The commands up to the first with an event that is not folded, unless the cursor is behind that one."""
        found = []
        for command in commands:
            if command.is_incomplete and command.last.sequence > place:
                self._wait_for(command.entries)
                break
            found.append(command)
        return found

    def _is_wanted(self, command: LogCommand, incomplete: Incomplete) -> bool:
        """Whether anything that the reader wants may be published of a command."""
        if command.cut_in_front:
            return False
        types = self._types
        kinds = (may_publish(event) for event in command.events)
        if not any(each if types is None else each & types for each in kinds):
            return False
        withheld = any(item_id in incomplete for item_id in command.items)
        self._withheld = self._withheld or withheld
        return not withheld

    def _publish(self, start: int, commands: Sequence[LogCommand], wanted: Sequence[bool]) -> None:
        figures = self._figures(start, [each for each, is_wanted in zip(commands, wanted, strict=True) if is_wanted])
        targets = self._log.events_at(
            [event.voided_sequence for each in commands for event in each.events if event.voided_sequence is not None]
        )
        before = self._place(start)
        for command, is_wanted in zip(commands, wanted, strict=True):
            folded = figures.advance(command.events, targets, command.last.sequence)
            self._pass_over(command)
            self._full = is_wanted and self._add(command_messages(folded, figures.standings))
            if self._full or command is commands[-1]:
                self._keep(figures, before, command)
                return
            before = LogPlace(self._location_id, command.last.sequence, command.last.hash)

    def _figures(self, start: int, wanted: Iterable[LogCommand]) -> RunningFigures:
        place = self._place(start)
        figures = RunningFigures(self._log, start, {} if place is None else self._kept.at(place))
        figures.follow(sorted(items_of(wanted)))
        return figures

    def _place(self, sequence: int) -> LogPlace | None:
        if sequence == 0:
            return None
        return LogPlace(self._location_id, sequence, self._log.entry(sequence).hash)

    def _keep(self, figures: RunningFigures, before: LogPlace | None, command: LogCommand) -> None:
        """Keep the figures at both ends of the command that the page ends with: the next begins at one of them."""
        if before is not None:
            self._kept.keep(before, {**figures.standings, **figures.before})
        self._kept.keep(LogPlace(self._location_id, command.last.sequence, command.last.hash), figures.standings)

    def _pass_over(self, command: LogCommand) -> None:
        """All of a command has been read."""
        last = command.last
        self._next = max(self._next, MessageCursor(self._epoch(last), last.sequence, MAX_PART))

    def _add(self, found: Iterable[OutboxMessage]) -> bool:
        """Add a command's messages, those that are wanted; whether the page is full. Sets back `next` if some do not
        fit."""
        for message in found:
            if message.cursor <= self._after or not (self._types is None or message.type in self._types):
                continue
            if len(self._messages) >= self._limit or self._size >= MOST_BYTES:
                self._next = self._messages[-1].cursor
                return True
            self._messages.append(message)
            self._size += len(message.body)
        return len(self._messages) >= self._limit or self._size >= MOST_BYTES
