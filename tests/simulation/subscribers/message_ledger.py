"""What a log publishes, worked out from its events by the fold alone: it judges what the product sends and lists."""

from __future__ import annotations

import json
from bisect import bisect_right
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from shared.event_record import moment_text
from shared.events import Event, LowStock
from shared.levels.reorder_levels import ReorderLevel
from shared.stock import fold
from tests.simulation.invariants import RESERVED_CHANGES, Copy
from tests.simulation.rule_broken import RuleBroken
from tests.support.published import expected_of_command, told_by


@dataclass
class MessageLedger:
    """The messages of one location's log, as far as it was read. `levels`: the reorder levels of the location."""

    location_id: str
    levels: Mapping[str, ReorderLevel] = field(default_factory=dict)
    ids: list[str] = field(default_factory=list)
    cursors: list[str] = field(default_factory=list)
    types: list[str] = field(default_factory=list)
    by_id: dict[str, dict[str, Any]] = field(default_factory=dict)
    bodies: dict[str, bytes] = field(default_factory=dict)
    crossings: int = 0
    _on_hand: Counter[str] = field(default_factory=Counter)
    _reserved: Counter[str] = field(default_factory=Counter)

    def follow(self, copy: Copy, begin: int, known_levels: frozenset[str]) -> None:
        """Take in the commands that the log has gained from its event number `begin` on (0: the first).

        `known_levels`: the items whose levels the branch had before these. Raises RuleBroken.
        """
        while begin < len(copy.events):
            command = copy.events[begin : begin + copy.events[begin].lines]
            self._take(copy, command, known_levels)
            begin += len(command)

    def _take(self, copy: Copy, command: Sequence[Event], known_levels: frozenset[str]) -> None:
        last = command[-1]
        before = {each.item_id: self._available(each.item_id) for each in command if each.item_id is not None}
        on_hand: dict[tuple[str, int], int] = {}
        for item_id in before:
            at = self._on_hand[item_id]
            for sequence in range(command[0].sequence - 1, last.sequence + 1):
                if any(each.sequence == sequence and each.item_id == item_id for each in command):
                    at = fold(copy.stories[item_id], known_through=sequence).on_hand
                on_hand[item_id, sequence] = at
            self._on_hand[item_id] = at
        for event in command:
            if event.item_id is not None:
                self._reserved[event.item_id] += RESERVED_CHANGES.get(event.type, 0) * (event.quantity or 0)

        def figures(item_id: str, through: int) -> tuple[int, int]:
            return on_hand[item_id, through], self._reserved[item_id]

        self._crossed(command, before, known_levels)
        for message in expected_of_command(copy.events, last, figures):
            message["data"] = {
                "location_id": self.location_id,
                "business_date": last.business_date,
                "recorded_at": moment_text(last.recorded_at),
                "source": last.source,
            }
            self.ids.append(message["id"])
            self.cursors.append(message["cursor"])
            self.types.append(message["type"])
            self.by_id[message["id"]] = message

    def _available(self, item_id: str) -> int:
        return self._on_hand[item_id] - self._reserved[item_id]

    def _crossed(self, command: Sequence[Event], before: Mapping[str, int], known_levels: frozenset[str]) -> None:
        """Rule M5, in the log: an item's last event of a command is marked just where it took the item across."""
        for item_id, was in before.items():
            events = [each for each in command if each.item_id == item_id]
            marks = [each.low for each in events]
            level, now = self.levels.get(item_id), self._available(item_id)
            if level is not None and item_id not in known_levels and marks[-1] is None:
                continue  # it arrived with what was recorded here, before or behind it
            crossed = level is not None and now <= level.reorder_point < was
            wanted = _wanted(level, now) if crossed and level is not None else None
            if marks != [*[None] * (len(events) - 1), wanted]:
                raise RuleBroken(
                    "M5",
                    f"{self.location_id}: the command at {command[-1].sequence} took the available {item_id} from "
                    f"{was} to {now} at the level {level}, and is marked {marks}",
                )
            self.crossings += crossed

    def check(self, body: bytes, where: str) -> str:
        """The id of a message, which is published and says what it should. Raises RuleBroken (M3, M4)."""
        message = json.loads(body)
        message_id = str(message["id"])
        known = self.bodies.get(message_id)
        if known == body:
            return message_id
        if known is not None:
            raise RuleBroken("M3", f"{where}: {message_id} is {body!r}, and was {known!r}")
        expected = self.by_id.get(message_id)
        if expected is None:
            raise RuleBroken("M4", f"{where}: the log of {self.location_id} does not publish {body!r}")
        said = told_by(message)
        data = {name: message["data"].get(name) for name in expected["data"]}
        if said != {name: expected[name] for name in said} or data != expected["data"]:
            raise RuleBroken("M4", f"{where}: {body!r} says {said} of {data}; by the log it is {expected}")
        self.bodies[message_id] = body
        return message_id


def _wanted(level: ReorderLevel, available: int) -> LowStock:
    """What an item that has become low is marked with; counted up, as one would by hand (INTERFACES A5)."""
    if level.order_up_to is not None:
        quantity = level.order_up_to - available
    else:
        quantity = step = level.order_quantity or 0
        while available + quantity <= level.reorder_point:
            quantity += step
    if level.pack_size is not None:
        packs = quantity // level.pack_size
        quantity = (packs + (packs * level.pack_size < quantity)) * level.pack_size
    return LowStock(reorder_point=level.reorder_point, reorder_quantity=quantity)


@dataclass
class FollowedLane:
    """A location's messages on their way to one who follows them, after `start` (a cursor's text) and of `types`.

    `got`: how many of those that are wanted have come, which come one after another.
    """

    ledger: MessageLedger
    who: str
    start: str
    types: frozenset[str] | None
    wanted: list[str] = field(default_factory=list)
    cursors: list[str] = field(default_factory=list)
    places: dict[str, int] = field(default_factory=dict)
    got: int = 0
    _read: int = 0

    def _extend(self) -> None:
        ledger = self.ledger
        for index in range(self._read, len(ledger.ids)):
            if ledger.cursors[index] > self.start and (self.types is None or ledger.types[index] in self.types):
                self.places[ledger.ids[index]] = len(self.wanted)
                self.wanted.append(ledger.ids[index])
                self.cursors.append(ledger.cursors[index])
        self._read = len(ledger.ids)

    def take(self, body: bytes) -> bool:
        """A message has come; whether for the first time. Raises RuleBroken (M2, M3, M4, M7)."""
        self._extend()
        message_id = self.ledger.check(body, self.who)
        place = self.places.get(message_id)
        if place is None:
            message = self.ledger.by_id[message_id]
            raise RuleBroken("M7", f"{self.who} was sent {message}; wanted is {self.types} after {self.start}")
        if place > self.got:
            raise RuleBroken(
                "M2", f"{self.who} was sent {message_id} as {self.cursors[place]}, before {self.cursors[self.got]}"
            )
        if place < self.got:
            return False
        self.got += 1
        return True

    def has_passed(self, cursor: str) -> None:
        """Rule M1: a cursor that is stored, or answered, is after no message that has not come."""
        self._extend()
        passed = bisect_right(self.cursors, cursor)
        if passed > self.got:
            raise RuleBroken(
                "M1", f"{self.who}: the cursor {cursor} has passed {self.cursors[self.got]}, not delivered"
            )

    @property
    def missing(self) -> int:
        """How many of those that are wanted, and published by now, have not come."""
        self._extend()
        return len(self.wanted) - self.got
