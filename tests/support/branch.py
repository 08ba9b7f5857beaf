"""A branch's core for tests: a fresh database, its writer, and commands short to write."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import Connection, update

from branch_node.commands.correction_inputs import ReviewInput, VoidInput, review_of, void_of
from branch_node.commands.corrections import ReviewEvent, VoidEvent
from branch_node.commands.count_inputs import CountInput, count_of
from branch_node.commands.counts import RecordCount, add_movements
from branch_node.commands.event_commands import RecordEvent
from branch_node.commands.event_inputs import EventInput, entry_of
from branch_node.commands.item_definitions import DefineItem
from branch_node.commands.item_inputs import ItemInput, item_of
from branch_node.commands.order_inputs import CancelInput, OrderInput, cancel_of, order_of
from branch_node.commands.orders import CancelOrder, RecordOrder
from branch_node.commands.reservations.reservation_commands import ConfirmReservation, ReleaseReservation, Reserve
from branch_node.commands.reservations.reservation_inputs import (
    ConfirmationInput,
    ReleaseInput,
    ReservationInput,
    confirmation_content,
    release_content,
    reservation_content,
)
from branch_node.database.schema import LOCATION, LOG, STOCK
from branch_node.database.store import Store
from branch_node.model import Command, Decision, Item, Location, View
from branch_node.writer.writer import Writer
from shared.chain import understand
from shared.event_log import read_after
from shared.events import Event
from shared.projection import load_standings
from shared.runtime.clock import IdFactory, NodeClock
from shared.stock import Standing
from tests.support.events import NOON

PLACE = "BEY-01"
HERE = Location(location_id=PLACE, name="Beirut, Hamra", timezone="Asia/Beirut", day_start=240)
ITEMS = (
    Item(item_id="milk", name="Milk", unit="l"),
    Item(item_id="beans", name="Coffee beans", unit="kg"),
    Item(item_id="gin", name="Gin", unit="l", strict=True),
    Item(item_id="cup", name="Cup", unit="pcs"),
)


class TestClock:
    """A clock that stands still until told."""

    __test__ = False

    def __init__(self, now: int = NOON) -> None:
        self.wall = now
        self.seconds = 0.0

    def now(self) -> int:
        return self.wall

    def monotonic(self) -> float:
        return self.seconds

    def advance(self, micros: int) -> None:
        self.wall += micros
        self.seconds += micros / 1e6


class PutItems(Command):
    """Items as head office's catalogue brings them."""

    def __init__(self, items: tuple[Item, ...]) -> None:
        self.items = items

    def decide(self, view: View) -> Decision:
        return Decision(items=list(self.items))


class Replay(Command):
    """From here on the database's guards let everything pass, as while a log is replayed."""

    def decide(self, view: View) -> Decision:
        def write(connection: Connection) -> None:
            connection.execute(update(LOCATION).values(replaying=True))

        return Decision(writes=[write])


class Branch:
    """A branch's writer on a database of its own, with the items above."""

    def __init__(self, store: Store, clock: TestClock, seed: int = 1) -> None:
        self.store = store
        self.clock = clock
        self.node_clock = NodeClock(clock)
        self.writer = Writer(store, self.node_clock, IdFactory(random.Random(seed).getrandbits))
        self._keys = itertools.count(1)

    def key(self) -> str:
        return f"key-{next(self._keys)}"

    def run(self, command: Command) -> Any:
        """Commit one command; its answer, or raise what refused it."""
        (outcome,) = self.writer.commit([command])
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    def event(self, kind: str, item_id: str = "milk", quantity: object = 1, *, key: str | None = None, **more: object):
        return self.run(self.event_command(kind, item_id, quantity, key=key, **more))

    def event_command(
        self, kind: str, item_id: str = "milk", quantity: object = 1, *, key: str | None = None, **more: object
    ) -> RecordEvent:
        figure = "counted" if kind == "STOCKTAKE" else "quantity"
        if kind in {"WASTE_RECORDED", "ADJUSTMENT"}:
            more = {"reason": "spoiled", **more}
        given = read(EventInput, {"type": kind, "item_id": item_id, figure: quantity, **more})
        return RecordEvent(entry_of(given), key=key or self.key(), actor="staff-1")

    def order(self, order_id: str, lines: list[dict[str, object]], *, key: str | None = None, **more: object):
        given = read(OrderInput, {"order_id": order_id, "lines": lines, **more})
        return self.run(RecordOrder(order_of(given), key=key, actor="till-1"))

    def cancel(self, order_id: str, *, key: str | None = None, **more: object):
        return self.run(CancelOrder(cancel_of(order_id, read(CancelInput, more)), key=key, actor="till-1"))

    def reserve(self, order_id: str, lines: Mapping[str, object], *, key: str | None = None, **more: object):
        """Reserve, given as quantities by item; the reservation or the refusal."""
        asked = [{"item_id": item_id, "quantity": quantity} for item_id, quantity in lines.items()]
        given = read(ReservationInput, {"order_id": order_id, "lines": asked, **more})
        return self.run(Reserve(reservation_content(given), key=key, actor="till-1"))

    def confirm(
        self, reservation_id: str, lines: Mapping[str, object] | None = None, *, key: str | None = None, **more
    ):
        asked = [{"item_id": item_id, "quantity": quantity} for item_id, quantity in (lines or {}).items()]
        given = read(ConfirmationInput, {**({} if lines is None else {"lines": asked}), **more})
        content = confirmation_content(reservation_id, given)
        return self.run(ConfirmReservation(content, key=key or self.key(), actor="till-1"))

    def release(self, reservation_id: str, *, key: str | None = None, **more: object):
        content = release_content(reservation_id, read(ReleaseInput, more))
        return self.run(ReleaseReservation(content, key=key or self.key(), actor="till-1"))

    def count(self, count_id: str, lines: list[dict[str, object]], *, key: str | None = None, **more: object):
        given = read(CountInput, {"count_id": count_id, "lines": lines, **more})
        content = count_of(given)
        answer = self.run(RecordCount(content, key=key, actor="staff-1"))
        with self.store.reading() as connection:
            add_movements(connection, answer, content)
        return answer

    def void(self, event_id: str, reason: str = "mistake", *, key: str | None = None, **more: object):
        content = void_of(event_id, read(VoidInput, {"reason": reason, **more}))
        return self.run(VoidEvent(content, key=key or self.key(), actor="manager-1"))

    def review(self, event_id: str, comment: str = "seen", *, key: str | None = None):
        content = review_of(event_id, read(ReviewInput, {"comment": comment}))
        return self.run(ReviewEvent(content, key=key or self.key(), actor="manager-1"))

    def define(self, item_id: str, *, key: str | None = None, **definition: object):
        content = item_of(item_id, read(ItemInput, {"name": item_id, "unit": "kg", **definition}))
        return self.run(DefineItem(content, key=key or self.key(), actor="manager-1"))

    def events(self) -> list[Event]:
        """The whole log, read back from the database."""
        with self.store.reading() as connection:
            return [understand(entry.line) for entry in read_after(connection, LOG, 0, 100_000)]

    def standings(self) -> dict[str, Standing]:
        """The projection as the database has it."""
        with self.store.reading() as connection:
            return load_standings(connection, STOCK, PLACE)

    def on_hand(self, item_id: str = "milk") -> int:
        return self.standings()[item_id].on_hand


def read(kind: type[Any], content: dict[str, object]) -> Any:
    """A body as it would be decoded from JSON."""
    return msgspec.json.decode(msgspec.json.encode(content), type=kind)


def branch_store(folder: Path, url: str | None = None) -> Store:
    """An initialised database of the branch BEY-01: SQLite in `folder`, or the one at `url`."""
    store = Store(url or f"sqlite:///{folder / 'branch.db'}", folder)
    store.set_up(HERE)
    return store


@contextmanager
def a_branch(folder: Path, url: str | None = None) -> Iterator[Branch]:
    """A branch whose writer is open, not started: `run` commits in the test's own thread."""
    store = branch_store(folder, url)
    branch = Branch(store, TestClock())
    branch.writer.open()
    try:
        branch.run(PutItems(ITEMS))
        yield branch
    finally:
        branch.writer.close()
        store.close()
