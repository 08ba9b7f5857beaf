"""What stands of the items of a log, command by command, folded forward from a place in the log.

`shared.stock` is the authority and has the map of its restatements. The figures of an item are read at that place once;
from there on its events are folded one by one, and only where that cannot be done (a count voided, or counted late) is
the item read again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from shared.events import Event
from shared.outbox.command_messages import FoldedEvent
from shared.stock import Standing, advance_event, movement


class FigureSource(Protocol):
    """Where the figures of a location's log are read, all from one snapshot."""

    def standings(self, item_ids: Sequence[str], known_through: int) -> dict[str, Standing]:
        """What stood of each item once the event `known_through` was recorded, its reserved before expiry."""
        ...


class RunningFigures:
    """The standings of the followed items after the events up to a sequence; `advance` moves on by a command."""

    def __init__(self, source: FigureSource, sequence: int, standings: Mapping[str, Standing]) -> None:
        """`standings` are those after the event `sequence`; other items are left alone until they are followed."""
        self._source = source
        self.sequence = sequence
        self.standings = dict(standings)
        self.before: dict[str, Standing] = {}
        """What stood, before the newest command, of the items that it touched."""

    def follow(self, item_ids: Iterable[str]) -> None:
        """Follow these items as well, from here on."""
        missing = [each for each in item_ids if each not in self.standings]
        if missing:
            self.standings |= self._source.standings(missing, self.sequence)

    def advance(self, command: Sequence[Event], targets: Mapping[int, Event], through: int) -> list[FoldedEvent]:
        """Fold the next command's events, up to the sequence `through`; what each did.

        Events of items that are not followed do nothing here. `targets` are the events that its voids and reversals
        name, by sequence.
        """
        self.before = {}
        folded = []
        for event in command:
            target = None if event.voided_sequence is None else targets[event.voided_sequence]
            was = None if event.item_id is None else self.standings.get(event.item_id)
            if event.item_id is None or was is None:
                folded.append(FoldedEvent(event, 0, target))
                continue
            self.before.setdefault(event.item_id, was)
            now = advance_event(was, event, None if target is None else movement(target))
            if now is None:
                now = self._source.standings([event.item_id], event.sequence)[event.item_id]
            self.standings[event.item_id] = now
            folded.append(FoldedEvent(event, now.on_hand - was.on_hand, target))
        self.sequence = through
        return folded
