"""Commands that were recorded before: their events and what stood right after them, from the log alone.

So every repetition of a request has the same answer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from sqlalchemy import Connection

from branch_node.database.lookups import sealed_where, standing_then
from branch_node.database.schema import LOG
from branch_node.database.stock.past_standing import MOST, PastStandings
from branch_node.model import RecordedCommand
from branch_node.writer.committed_state import CommittedState
from shared.chain import Sealed
from shared.stock import Standing


class EarlierCommands:
    """Valid for one transaction. `flush_events` appends what the group has decided so far; `look` gives its connection
    with all of that in the tables."""

    def __init__(
        self,
        connection: Connection,
        committed: CommittedState,
        flush_events: Callable[[], None],
        look: Callable[[], Connection],
    ) -> None:
        self._connection = connection
        self._committed = committed
        self._flush_events = flush_events
        self._look = look
        self._past_standings: PastStandings | None = None

    def preload(self, firsts: Iterable[Sealed]) -> None:
        """Where any of these commands, given by their first events, is recent, load the events since the oldest."""
        head = self._committed.head.sequence
        recent = [last for each in firsts if (last := _last_sequence(each)) >= head - MOST]
        if recent:
            self._past_standings = PastStandings(self._connection, self._committed.standings, min(recent), head)

    def beginning_at(self, sequence: int) -> RecordedCommand:
        """The command whose first event has this sequence."""
        self._flush_events()
        (first,) = sealed_where(self._connection, LOG.event.c.sequence == sequence)
        return self.of(first)

    def of(self, first: Sealed, instead: Sequence[int] = ()) -> RecordedCommand:
        """The command with this first event; `instead`: the events that answer in place of its own."""
        sealed, sequence, start, last = [first], LOG.event.c.sequence, first.event.sequence, _last_sequence(first)
        if last > start or instead:
            self._flush_events()
            wanted = sequence.in_(instead) if instead else sequence.between(start, last)
            sealed = sealed_where(self._connection, wanted)
        items = {each.event.item_id: each for each in sealed if each.event.item_id is not None}
        then = {item_id: self._standing_after(item_id, each) for item_id, each in items.items()}
        return RecordedCommand(sealed, then, True, self._look)

    def _standing_after(self, item_id: str, sealed: Sealed) -> Standing:
        """The standing of an item right after an event's command. What had expired by then was recorded before it."""
        sequence = _last_sequence(sealed)
        if (
            self._past_standings is not None
            and (standing := self._past_standings.standing(item_id, sequence)) is not None
        ):
            return standing
        self._flush_events()
        return standing_then(self._connection, self._committed.location.location_id, item_id, known_through=sequence)


def _last_sequence(sealed: Sealed) -> int:
    """The sequence of the last event of an event's command."""
    return sealed.event.sequence + sealed.event.lines - sealed.event.line
