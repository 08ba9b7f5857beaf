"""One transaction of the writer: commands decided one after another, each on the decisions before it.

New events are sealed in memory and flushed to the tables once, at the end, or earlier when a command needs a query. The
writer's committed state changes only after the commit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec
from sqlalchemy import Connection, update

from branch_node.database.lookups import (
    ORDER_COLUMNS,
    event_by_id,
    events_of_transfer,
    first_by_key,
    highest_token,
    order_row,
    orders_named,
    sealed_where,
    voids_of,
)
from branch_node.database.purchases.delivery_rows import append_events
from branch_node.database.purchases.pulled_order_rows import purchase_order_with_id
from branch_node.database.schema import ITEM, LOCATION, LOG, SALE_ORDER, STOCK
from branch_node.database.stored_runs import start_run, store_run
from branch_node.model import Command, Decision, Item, OrderState, RecordedCommand
from branch_node.problems import INVALID_EVENT, KEY_REUSED
from branch_node.writer.committed_state import CommittedState, codes_of_items
from branch_node.writer.earlier_commands import EarlierCommands
from branch_node.writer.group_inbound_orders import GroupInboundOrders
from branch_node.writer.group_items import GroupItems
from branch_node.writer.group_reservations import GroupReservations
from branch_node.writer.kept_answers import KeptAnswers
from branch_node.writer.low_stock import mark_low_stock, read_watched
from branch_node.writer.newest_events import NewestEvents
from branch_node.writer.pending_commit import Position
from branch_node.writer.reservation_expiry import MOST_EXPIRED_LINES, ExpireReservation
from shared.chain import Head, Sealed, seal
from shared.events import MAX_LINES, Event, EventNotUnderstood, EventType
from shared.orders.inbound_orders import InboundOrder
from shared.projection import movements_of, refold, store_standings
from shared.purchases.purchase_orders import PurchaseOrder
from shared.reservations import Reservation
from shared.runtime.clock import ClockStart
from shared.runtime.database.row_writes import upsert_rows
from shared.runtime.problems import Problem
from shared.stock import NOTHING, Movement, Standing, advance_event, movement

OrderKey = tuple[str, str]
_ITEM_COLUMNS = tuple(column.name for column in ITEM.columns)


class CommandGroup:
    """The `View` of one transaction, which also writes its decisions. Used once, by the writer's thread."""

    def __init__(
        self,
        connection: Connection,
        committed: CommittedState,
        now: int,
        clock_unconfirmed: bool,
        new_id: Callable[[int], str],
    ) -> None:
        self.now = now
        self.clock_unconfirmed = clock_unconfirmed
        self.location = committed.location
        self.after_commit: list[Callable[[], None]] = []
        self._connection = connection
        self._committed = committed
        self._make_id = new_id
        self._head = committed.head
        self._eventless_commits = committed.eventless_commits
        self._sealed: list[Sealed] = []
        self._flushed = 0
        self._standings: dict[str, Standing] = {}
        self._stored: dict[str, Standing] = {}
        self.newest_events = NewestEvents(connection, committed.newest_events)
        self._voids: dict[int, int] = {}
        self._catalogue = GroupItems(committed)
        self._watched = committed.watched
        self._orders: dict[OrderKey, OrderState | None] = {}
        self._changed_orders: dict[OrderKey, OrderState] = {}
        self._wrote = False
        self._first: dict[str, Sealed] = {}
        self._kept = KeptAnswers(connection, any_kept=committed.keeps_answers)
        self._reservations = GroupReservations(connection, committed.reservations)
        self._told = GroupInboundOrders(connection, any_told=committed.any_told)
        self._before = EarlierCommands(connection, committed, self._flush_events, lambda: self.connection)
        self._loaded: dict[int, Event] = {}
        self._restated = False  # whether a count or a void is not flushed yet

    def preload(self, commands: Sequence[Command]) -> None:
        """Load what the whole group needs, one statement each: keys already used, states of orders."""
        keys = [command.key for command in commands if command.key is not None]
        self._first = first_by_key(self._connection, keys)
        self._kept.preload(keys)
        self._before.preload(self._first.values())
        orders = {command.order: None for command in commands if command.order is not None}
        self._orders.update(orders)
        for state in orders_named(self._connection, [order_id for order_id, _ in orders]):
            self._orders[state.order_id, state.source] = state
        reserving = [each.order for each in commands if each.order is not None and each.reserves]
        self._reservations.preload(reserving)
        self._told.preload(reserving)

    def expire(self) -> bool:
        """Record what has expired by now, as much as a transaction holds; whether there is more to record first."""
        due, more = self._reservations.expired_by(self.now, MOST_EXPIRED_LINES)
        for each in due:
            self.run(ExpireReservation(each))
        return more

    def run(self, command: Command) -> object:
        """Decide one command and apply its decision; its answer. Raises Problem: then nothing has changed."""
        key = command.key
        while key is not None and (first := self._first.get(key)) is not None:
            sequence = first.event.sequence
            if first.event.command_digest != command.digest:
                raise KEY_REUSED(
                    f"the key {key!r} recorded something else at {sequence}",
                    hint=command.reused_hint,
                    sequence=sequence,
                )
            if (after := command.key_after(first.event, self)) is None:
                return command.answer(self._before.of(first, command.stands_at(first.event, self)))
            key, self._first = after, first_by_key(self._connection, [after]) | self._first
        if (kept := self._kept.of(command)) is not None:
            return command.again(kept)
        decision = command.decide(self)
        sealed, head = self._seal_all(command, key, decision)
        try:
            if decision.writes or decision.items or decision.order or decision.location or decision.after_commit:
                self._apply_rows(decision)
            for prefix in decision.forget:
                self._kept.forget(prefix)
                self._wrote = True
            if not sealed:
                if decision.kept is not None:
                    self._kept.keep(command, decision.kept)
                    self._wrote = True
                return decision.answer
            self._sealed += sealed
            self._head = head
            if key is not None:
                self._first[key] = sealed[0]
                self._told.advance(sealed)
            return command.answer(RecordedCommand(sealed, self._fold(sealed), False, lambda: self.connection))
        except Problem as problem:
            raise RuntimeError("a command may refuse only while it decides") from problem

    def _seal_all(self, command: Command, key: str | None, decision: Decision) -> tuple[list[Sealed], Head]:
        if self._restated and any(event.type is EventType.STOCK_RESERVED for event in decision.events):
            self._flush_events()  # the database's guard adds plain changes to the projection as it was flushed last
        now = self.now if decision.recorded_at is None else decision.recorded_at
        sealed, head = self._seal(command, key, decision.events, now, self._head)
        for further in decision.further:
            more, head = self._seal(None, None, further, now, head)
            sealed += more
        return sealed, head

    def _seal(
        self, command: Command | None, key: str | None, events: Sequence[Event], now: int, head: Head
    ) -> tuple[list[Sealed], Head]:
        line, lines = 0, len(events)
        sealed: list[Sealed] = []
        if events and command is not None:
            events[0].command_key, events[0].command_digest = key, command.digest
        if lines > MAX_LINES:
            raise INVALID_EVENT(f"a command records at most {MAX_LINES} events, not {lines}")
        try:
            mark_low_stock(events, self._watched, head.sequence, self)
            for event in events:
                line += 1
                event.line, event.lines = line, lines
                each = seal(event, head, now)
                head = Head(event.epoch, event.sequence, each.hash)
                sealed.append(each)
        except EventNotUnderstood as error:
            raise INVALID_EVENT(error.reason) from error
        return sealed, head

    def _apply_rows(self, decision: Decision) -> None:
        """Apply a decision's changes outside the log."""
        for item in decision.items:
            self._catalogue.changed[item.item_id] = item
        if decision.order is not None:
            place = (decision.order.order_id, decision.order.source)
            self._orders[place] = self._changed_orders[place] = decision.order
        if decision.location is not None:
            self.location, self._wrote = decision.location, True
            here = decision.location
            self._update_location(name=here.name, timezone=here.timezone, day_start=here.day_start)
        for write in decision.writes:
            self._wrote = True
            write(self._connection)
        if decision.levels_changed:
            self._watched = read_watched(self._connection, codes_of_items(self._catalogue.mapped()))
        self.after_commit.extend(decision.after_commit)

    def _update_location(self, **values: object) -> None:
        here = LOCATION.c.location_id == self.location.location_id
        self._connection.execute(update(LOCATION).where(here).values(values))

    def _fold(self, sealed: list[Sealed]) -> dict[str, Standing]:
        """Advance the standings and reservations by new events; the new standings of the items named."""
        changed: dict[str, Standing] = {}
        refolded: set[str] = set()
        reserves = False
        for each in sealed:
            event = each.event
            item_id = event.item_id
            if item_id is None:
                continue
            target = None
            if event.voided_sequence is not None:
                self._voids[event.voided_sequence] = event.sequence
                target = movement(self.events_at([event.voided_sequence])[0])
            self._restated = self._restated or target is not None or event.counted is not None
            after = advance_event(self.standing(item_id), event, target)
            if after is None:
                refolded.add(item_id)
                after = NOTHING
            changed[item_id] = self._standings[item_id] = after
            self.newest_events.add(item_id, each.hash)
            reserves = reserves or event.reservation_id is not None
        if reserves:
            self._reservations.advance(sealed)
        if refolded:
            self._append_events()
            fresh = refold(self._connection, LOG, self.location.location_id, refolded)
            self._standings.update(fresh)
            changed.update(fresh)
            self._flush_events()
        return changed

    def recorded_at(self, sequence: int) -> RecordedCommand:
        return self._before.beginning_at(sequence)

    def _append_events(self) -> None:
        """Append the events decided so far to the log's tables."""
        waiting = self._sealed[self._flushed :]
        if waiting:
            append_events(self._connection, waiting)
            self._flushed = len(self._sealed)

    def _flush_events(self) -> None:
        """Append the events decided so far, and store what stands of their items: the two never differ."""
        self._append_events()
        changed = {
            item_id: standing
            for item_id, standing in self._standings.items()
            if self._stored.get(item_id) is not standing
        }
        if changed:
            store_standings(self._connection, STOCK, self.location.location_id, changed)
            self._stored.update(changed)
        self._restated = False

    def finish(self, start: ClockStart | None) -> Position:
        """Write what is to be committed; the position that the COMMIT leaves.

        `start`: how the node's time began, where that is not stored yet. It is, with the first events after it.
        """
        committed = self._committed.position
        if self._head == committed.head:
            self._eventless_commits += 1
            self._update_location(eventless_commits=self._eventless_commits)
        elif start is not None:
            store_run(self._connection, start_run(start, committed.head.sequence))
        self.flush()
        return Position(self._head, self._eventless_commits)

    def flush(self) -> None:
        """Write everything decided so far to the tables. Raises StaleHead where another writer has written."""
        self._flush_events()
        self._reservations.flush()
        self._told.flush()
        if self._catalogue.changed:
            rows = [msgspec.structs.astuple(item) for item in self._catalogue.changed.values()]
            upsert_rows(self._connection, ITEM, _ITEM_COLUMNS, rows)
        if self._changed_orders:
            rows = [order_row(state) for state in self._changed_orders.values()]
            upsert_rows(self._connection, SALE_ORDER, ORDER_COLUMNS, rows)
            self._changed_orders.clear()

    @property
    def changed(self) -> bool:
        """Whether there is anything to commit."""
        return bool(self._sealed or self._wrote or self._catalogue.changed or self._changed_orders)

    def publish(self) -> None:
        """Apply this group's changes to the writer's committed state; called after the commit."""
        committed = self._committed
        committed.head = self._head
        committed.eventless_commits = self._eventless_commits
        committed.location = self.location
        committed.keeps_answers, committed.any_told = self._kept.any_kept, self._told.any_told
        committed.standings.update(self._standings)
        self._reservations.publish()
        committed.watched = self._watched
        self.newest_events.publish()
        self._catalogue.publish()

    # The View of the commands

    @property
    def head(self) -> Head:
        return self._head

    @property
    def connection(self) -> Connection:
        self.flush()
        return self._connection

    def new_id(self) -> str:
        return self._make_id(self.now)

    def item(self, item_id: str) -> Item | None:
        return self._catalogue.item(item_id)

    def items_with_barcode(self, barcode: str) -> list[Item]:
        return self._catalogue.with_barcode(barcode)

    def codes(self, item_id: str) -> list[str]:
        return self._catalogue.codes(item_id)

    def standing(self, item_id: str) -> Standing:
        return self._standings.get(item_id) or self._committed.standings.get(item_id) or NOTHING

    def available(self, item_id: str) -> int:
        standing = self.standing(item_id)
        return standing.on_hand - standing.reserved

    def inbound_order(self, order_id: str, source: str) -> InboundOrder | None:
        return self._told.get((order_id, source))

    def purchase_order(self, purchase_order_id: str) -> PurchaseOrder | None:
        return purchase_order_with_id(self._connection, purchase_order_id)

    def reservation(self, reservation_id: str) -> Reservation | None:
        return self._reservations.get(reservation_id)

    def reservations_of(self, order_id: str, source: str) -> list[Reservation]:
        return self._reservations.of_order((order_id, source))

    def active_reservation(self, order_id: str, source: str) -> Reservation | None:
        return self._reservations.active_of((order_id, source))

    def reservation_count(self) -> int:
        return self._reservations.count()

    def active_reservations(self) -> list[Reservation]:
        return self._reservations.active()

    def movements(self, item_id: str) -> list[Movement]:
        self._flush_events()
        return movements_of(self._connection, LOG, self.location.location_id, item_id)

    def event(self, event_id: str) -> Event | None:
        for each in self._sealed[self._flushed :]:
            if each.event.event_id == event_id:
                return each.event
        found = event_by_id(self._connection, event_id)
        if found is None:
            return None
        self._loaded[found.event.sequence] = found.event
        return found.event

    def events_at(self, sequences: Sequence[int]) -> list[Event]:
        committed = self._committed.head.sequence
        unseen = [sequence for sequence in sequences if sequence <= committed and sequence not in self._loaded]
        if unseen:
            for each in sealed_where(self._connection, LOG.event.c.sequence.in_(unseen)):
                self._loaded[each.event.sequence] = each.event
        found = {sequence: self._loaded[sequence] for sequence in sequences if sequence in self._loaded}
        for sequence in sequences:
            if committed < sequence <= self._head.sequence:
                found[sequence] = self._sealed[sequence - committed - 1].event
        return [found[sequence] for sequence in sorted(found)]

    def voided_by(self, sequences: Sequence[int]) -> dict[int, int]:
        known = voids_of(self._connection, sequences)
        return known | {sequence: self._voids[sequence] for sequence in sequences if sequence in self._voids}

    def transfer_events(self, transfer_id: str) -> list[Event]:
        there = events_of_transfer(self._connection, transfer_id)
        waiting = (each.event for each in self._sealed[self._flushed :] if each.event.transfer_id == transfer_id)
        return [*there, *waiting]

    def transfer_token(self, transfer_id: str) -> int:
        return highest_token(self._connection, transfer_id)

    def order(self, order_id: str, source: str) -> OrderState | None:
        if (order_id, source) not in self._orders:
            known = orders_named(self._connection, [order_id])
            self._orders[order_id, source] = next((each for each in known if each.source == source), None)
        return self._orders[order_id, source]
