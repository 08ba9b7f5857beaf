"""The rules of DESIGN section 6, looked at in the databases themselves after every step of a simulated history.

What a step cannot have changed is not read again: each location's log is followed from where the last look ended.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from hashlib import sha256

from sqlalchemy import Connection, Table, select

from shared.chain import GENESIS, understand
from shared.event_log import LogTables, read_after
from shared.events import Event, EventType
from shared.projection import load_standings
from shared.stock import Movement, fold, movement
from tests.simulation.rule_broken import RuleBroken


@dataclass
class Copy:
    """What has been seen of one side's copy of one log so far."""

    lines: list[bytes] = field(default_factory=list)
    hashes: list[bytes] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    stories: defaultdict[str, list[Movement]] = field(default_factory=lambda: defaultdict(list))
    reserved: Counter[str] = field(default_factory=Counter)
    """What the events say is reserved, by item, expired or not."""

    def add(self, sequence: int, line: bytes, digest: bytes, where: str) -> None:
        """Take the next event in. Gaps (rule 1) and wrong hashes (rule 2) are noticed here."""
        if sequence != len(self.lines) + 1:
            raise RuleBroken(1, f"{where}: event {sequence} follows {len(self.lines)}")
        previous = self.hashes[-1] if self.hashes else GENESIS
        if sha256(previous + line).digest() != digest:
            raise RuleBroken(2, f"{where}: the hash of event {sequence} is not that of its line")
        event = understand(line)
        self.lines.append(line)
        self.hashes.append(digest)
        self.events.append(event)
        if event.item_id is not None and event.type is not EventType.ITEM_DEFINED:
            self.stories[event.item_id].append(movement(event))
            self.reserved[event.item_id] += RESERVED_CHANGES.get(event.type, 0) * (event.quantity or 0)


def follow_branch(copy: Copy, connection: Connection, tables: LogTables, where: str) -> bool:
    """Read what a branch's log has gained; whether anything. Its head must be its last event (rule 4)."""
    head = connection.execute(select(tables.head.c.sequence, tables.head.c.hash)).one()
    last = copy.hashes[-1] if copy.hashes else GENESIS
    if (head.sequence, bytes(head.hash)) == (len(copy.lines), last):
        return False
    for entry in read_after(connection, tables, len(copy.lines), 100_000):
        copy.add(entry.sequence, entry.line, entry.hash, where)
    if (head.sequence, bytes(head.hash)) != (len(copy.lines), copy.hashes[-1] if copy.hashes else GENESIS):
        raise RuleBroken(4, f"{where}: the head says {head.sequence}, the log ends at {len(copy.lines)}")
    return True


def log_is_whole(copy: Copy, connection: Connection, tables: LogTables, where: str) -> None:
    """Rule 4: nothing stands in the log beyond its head."""
    beyond = connection.execute(select(tables.event.c.sequence).where(tables.event.c.sequence > len(copy.lines))).all()
    if beyond:
        raise RuleBroken(4, f"{where}: events beyond the head: {beyond}")


def is_prefix(there: Copy, here: Copy, location: str) -> None:
    """Rule 1: head office's log is a prefix of the branch's, byte for byte."""
    if len(there.lines) > len(here.lines) or (there.hashes and there.hashes[-1] != here.hashes[len(there.lines) - 1]):
        raise RuleBroken(1, f"head office's log of {location} is no prefix of the branch's")
    if there.lines and there.lines[-1] != here.lines[len(there.lines) - 1]:
        raise RuleBroken(1, f"the last line of {location} at head office is not the branch's")


def projection_is_fold(copy: Copy, connection: Connection, stock: Table, location: str, where: str) -> None:
    """Rules 6 and 13: every projected figure is the fold of the events, and nothing reserved is below zero."""
    projected = load_standings(connection, stock, location)
    if projected.keys() != copy.stories.keys():
        raise RuleBroken(6, f"{where}: projected are {sorted(projected)}, events are of {sorted(copy.stories)}")
    for item_id, standing in projected.items():
        told = fold(copy.stories[item_id])
        if (standing.on_hand, standing.last_count, standing.recount) != (
            told.on_hand,
            told.last_count,
            told.recount,
        ):
            raise RuleBroken(6, f"{where}: {item_id} is projected as {standing}, its events say {told}")
        if standing.reserved != copy.reserved[item_id]:
            raise RuleBroken(
                6, f"{where}: {standing.reserved} of {item_id} reserved, its events say {copy.reserved[item_id]}"
            )
        if standing.reserved < 0:
            raise RuleBroken(13, f"{where}: {standing.reserved} of {item_id} reserved")


def one_effect_a_command(copy: Copy, where: str) -> None:
    """Rule 8: no key, and no line of a transfer, has two effects in one log."""
    keys = Counter(event.command_key for event in copy.events if event.command_key is not None)
    twice = [key for key, times in keys.items() if times > 1]
    if twice:
        raise RuleBroken(8, f"{where}: the keys {twice} have two effects")
    lines = Counter(
        (event.transfer_id, event.item_id, event.type)
        for event in copy.events
        if event.type in (EventType.TRANSFER_OUT, EventType.TRANSFER_IN, EventType.TRANSFER_REVERSED)
    )
    for (transfer_id, item_id, kind), times in lines.items():
        if times > 1:
            raise RuleBroken(8, f"{where}: {times} × {kind} of {item_id} in {transfer_id}")
    refused = {event.transfer_id: event.sequence for event in copy.events if event.type is EventType.TRANSFER_REFUSED}
    for event in copy.events:
        if event.type in (EventType.TRANSFER_OUT, EventType.TRANSFER_IN) and event.transfer_id in refused:
            if refused[event.transfer_id] < event.sequence:
                raise RuleBroken(10, f"{where}: {event.type} of {event.transfer_id} after it was refused")
            if event.type is EventType.TRANSFER_IN:
                raise RuleBroken(10, f"{where}: {event.transfer_id} was received, then refused")


def in_transit(copies: dict[str, Copy]) -> Counter[tuple[str, str]]:
    """(transfer, item) -> what is on its way, in thousandths, as the given logs say it."""
    on_the_way: Counter[tuple[str, str]] = Counter()
    for copy in copies.values():
        undone = {event.voided_sequence for event in copy.events}
        for event in copy.events:
            sign = _TRANSIT.get(event.type)
            if sign is not None and event.sequence not in undone:
                on_the_way[event.transfer_id or "", event.item_id or ""] += sign * (event.quantity or 0)
    return on_the_way


def conserved(copies: dict[str, Copy]) -> None:
    """Rule 9: on hand + in transit + lost = what came in − what went out + Σ variances, for every item of the group.

    The right side is added up from the events by a table of its own, the left side is the fold's.
    """
    left: Counter[str] = Counter()
    right: Counter[str] = Counter()
    for copy in copies.values():
        undone = {event.voided_sequence for event in copy.events}
        for item_id, story in copy.stories.items():
            balance = fold(story)
            left[item_id] += balance.on_hand
            right[item_id] += balance.variance
        for event in copy.events:
            if event.item_id is None or event.quantity is None or event.sequence in undone:
                continue
            right[event.item_id] += _FLOW.get(event.type, 0) * event.quantity
            if event.type is EventType.TRANSFER_LOST:
                left[event.item_id] += event.quantity
    for (_, item_id), quantity in in_transit(copies).items():
        left[item_id] += quantity
    for item_id in left | right:
        if left[item_id] != right[item_id]:
            raise RuleBroken(9, f"{item_id}: {left[item_id]} is there, {right[item_id]} came and went")


_FLOW = {
    EventType.PURCHASE_RECEIVED: 1,
    EventType.PURCHASE_RETURNED: -1,
    EventType.ORDER_DEDUCTION: -1,
    EventType.CUSTOMER_RETURN: 1,
    EventType.INTERNAL_USE: -1,
    EventType.WASTE_RECORDED: -1,
    EventType.PRODUCTION_USED: -1,
    EventType.PRODUCTION_MADE: 1,
    EventType.ADJUSTMENT: 1,
    EventType.RESERVATION_CONFIRMED: -1,
}
RESERVED_CHANGES = {
    EventType.STOCK_RESERVED: 1,
    EventType.RESERVATION_CONFIRMED: -1,
    EventType.RESERVATION_RELEASED: -1,
    EventType.RESERVATION_EXPIRED: -1,
}
_TRANSIT = {EventType.TRANSFER_OUT: 1, EventType.TRANSFER_IN: -1, EventType.TRANSFER_LOST: -1}


def ended_rightly(transfer_id: str, state: str, source: Copy, destination: Copy) -> None:
    """Rule 10: the end that was told is the one the logs say, and only one of them."""
    at_source = [event for event in source.events if event.transfer_id == transfer_id]
    at_destination = [event for event in destination.events if event.transfer_id == transfer_id]
    sent = _sum(at_source, EventType.TRANSFER_OUT)
    back = _sum(at_source, EventType.TRANSFER_REVERSED)
    got = _sum(at_destination, EventType.TRANSFER_IN) + _sum(at_destination, EventType.TRANSFER_LOST)
    refused_there = any(event.type is EventType.TRANSFER_REFUSED for event in at_destination)
    refused_here = any(event.type is EventType.TRANSFER_REFUSED for event in at_source)
    holds = {
        "COMPLETED": bool(sent) and sent == got and not back,
        "REVERSED": bool(sent) and sent == back and not got and refused_there,
        "REJECTED": not sent and not got and (refused_here or not at_source),
    }
    if not holds.get(state, True):
        raise RuleBroken(10, f"{transfer_id} is {state}: sent {sent}, received or lost {got}, back {back}")


def _sum(events: list[Event], kind: EventType) -> Counter[str]:
    total: Counter[str] = Counter()
    for event in events:
        if event.type is kind:
            total[event.item_id or ""] += event.quantity or 0
    return total
