"""A branch's core as a library: appending, importing, a hot item. Each function runs in a child process."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

import uvloop

from branch_node.commands.event_commands import RecordEvent
from branch_node.commands.event_inputs import EventContent
from branch_node.database.schema import LOG
from branch_node.database.store import Store
from branch_node.imports.importer import ImportRun
from branch_node.imports.mapping.map_parser import parse_map
from branch_node.imports.recorders.import_recorder import CHUNK_ALONE
from branch_node.imports.recorders.local_recorders import LocalImportRecorder
from branch_node.imports.reject_files import Conflicts, Rejects
from branch_node.imports.source_file import FileLayout, SourceFile
from branch_node.model import Command, Decision, Item, Location, RecordedCommand, View
from branch_node.writer.command_queue import QUEUE_ENTRIES
from branch_node.writer.writer import Writer
from shared.chain import canonical
from shared.events import Event, EventType
from shared.runtime.clock import IdFactory, NodeClock, SystemClock
from shared.runtime.garbage import infrequent_collections
from tests.benchmarks.sample import ITEMS, LOCATION, deductions, item_ids, write_csv
from tests.support.log_check import verify_log

WARM_UP = 200

MAP = """
source = "bench-till"
time_zone = "Asia/Beirut"
fold = "earlier"
type = "ORDER_DEDUCTION"

[columns]
id = "transaction_id"
item = "product_id"
quantity = "quantity"
date = "date"
time = "time"

[formats]
date = "%Y-%m-%d"
time = "%H:%M:%S"
"""


class DefineItems(Command):
    """The sample's items, as a catalogue page brings them."""

    def decide(self, view: View) -> Decision:
        return Decision(items=[Item(item_id=each, name=each, unit="kg") for each in item_ids(ITEMS)])


@contextmanager
def open_writer(folder: str, location_id: str = LOCATION) -> Iterator[tuple[Store, Writer]]:
    """A branch in `folder`, new or there, with the sample's items; its writer open, not started."""
    directory = Path(folder)
    store = Store(f"sqlite:///{directory / 'branch.db'}", directory)
    store.set_up(Location(location_id=location_id, name=location_id, timezone="Asia/Beirut"))
    writer = Writer(store, NodeClock(SystemClock()), IdFactory())
    writer.open()
    try:
        writer.commit([DefineItems()])
        yield store, writer
    finally:
        store.close()
        writer.close()


def prepare(folder: str, location_id: str, events: int, seed: int) -> dict[str, float]:
    """Define the items of a branch made by `init`, and append a backlog; `bytes`: of a canonical line, on average."""
    size = 0
    with open_writer(folder, location_id) as (_, writer):
        sales = deductions(events, location_id=location_id, seed=seed)
        while some := [Append(each) for each in islice(sales, 1_000)]:
            writer.commit(some)
            size += sum(len(canonical(each.event)) for each in some)
    return {"bytes": size / max(events, 1)}


def entries(count: int) -> Iterator[EventContent]:
    """The sample's sales as the API reads them."""
    for sale in deductions(count):
        yield EventContent(
            type=EventType.ORDER_DEDUCTION,
            item_id=sale.item_id or "",
            quantity=sale.quantity,
            occurred_at=sale.occurred_at,
            reference=sale.reference,
        )


class Append(Command):
    """One event made beforehand, under a key of its own."""

    def __init__(self, event: Event) -> None:
        self.event = event
        self.key, self.digest = event.command_key, event.command_digest

    def decide(self, view: View) -> Decision:
        return Decision(events=[self.event])

    def answer(self, recorded: RecordedCommand) -> object:
        return None


def append(folder: str, events: int, group: int) -> dict[str, float]:
    """Append ready events through the writer, `group` a transaction. Events a second.

    Timed is what makes an event part of the log: looking up its key, sealing (canonical line and hash), appending with
    all indexes, folding into the projection, moving the head, committing with a sync.
    """
    return _timed(folder, events, group, [Append(each) for each in deductions(events)])


def record(folder: str, events: int, group: int) -> dict[str, float]:
    """The same, and all that stands round it: the command and its digest, deciding, the id, the answer's record."""

    def commands() -> Iterator[Command]:
        for number, entry in enumerate(given):
            yield RecordEvent(entry, key=f"{number:032x}", actor="3f9c2a71")

    given = list(entries(events))
    return _timed(folder, events, group, commands())


def _timed(folder: str, events: int, group: int, commands: Iterable[Command]) -> dict[str, float]:
    with open_writer(folder) as (store, writer):
        _warm_up(writer)
        before = writer.head.sequence
        following = iter(commands)
        gc.collect()
        gc.freeze()
        begin, cpu = time.perf_counter(), time.process_time()
        while some := list(islice(following, group)):
            for outcome in writer.commit(some):
                if isinstance(outcome, BaseException):
                    raise outcome
        elapsed, cpu = time.perf_counter() - begin, time.process_time() - cpu
        _check(store, writer, before + events)
    return {"rate": events / elapsed, "a_cpu_second": events / cpu}


def import_csv(folder: str, rows: int) -> dict[str, float]:
    """Import a till's CSV into a new branch. Rows a second."""
    directory = Path(folder)
    path = directory / "till.csv"
    write_csv(path, rows)
    with open_writer(folder) as (store, writer):
        before = writer.head.sequence
        gc.collect()
        gc.freeze()
        begin, cpu = time.perf_counter(), time.process_time()
        recorder = LocalImportRecorder(writer, store, "3f9c2a71", chunk=CHUNK_ALONE)
        found = parse_map(MAP.encode(), "till.toml")
        with (
            SourceFile(path, found.delimiter, FileLayout.of(found), folder=directory) as file,
            Rejects(directory / "rejects.csv") as rejects,
            Conflicts(directory / "conflicts.csv") as conflicts,
        ):
            writer.start()
            try:
                with infrequent_collections():
                    summary = ImportRun(file, found, recorder, rejects, conflicts, now=SystemClock().now()).run(
                        lambda phase, size: None
                    )
            finally:
                writer.stop()
        elapsed, cpu = time.perf_counter() - begin, time.process_time() - cpu
        if summary.recorded != rows:
            raise RuntimeError(f"{summary.recorded} of {rows} rows were recorded")
        _check(store, writer, before + rows)
    return {"rate": rows / elapsed, "a_cpu_second": rows / cpu}


def hot(folder: str, count: int) -> dict[str, float]:
    """So many concurrent deductions of one item, each waiting for its own answer; none lost. Deductions a second."""
    with open_writer(folder) as (store, writer):
        before = writer.head.sequence
        writer.start()
        try:
            elapsed, cpu = uvloop.run(_hot(writer, count))
        finally:
            writer.stop()
        _check(store, writer, before + count)
    return {"rate": count / elapsed, "a_cpu_second": count / cpu}


async def _hot(writer: Writer, count: int) -> tuple[float, float]:
    loop = asyncio.get_running_loop()
    room = asyncio.Semaphore(QUEUE_ENTRIES // 2)
    sale = next(entries(1))

    async def deduct(number: int) -> None:
        async with room:
            command = RecordEvent(sale, key=f"hot-{number}", actor="3f9c2a71")
            await writer.submit_from(loop, (command,), many=False)

    gc.collect()
    gc.freeze()
    begin, cpu = time.perf_counter(), time.process_time()
    await asyncio.gather(*(deduct(number) for number in range(count)))
    return time.perf_counter() - begin, time.process_time() - cpu


def _warm_up(writer: Writer) -> None:
    for number, entry in enumerate(entries(WARM_UP)):
        writer.commit([RecordEvent(entry, key=f"warm-up-{number}", actor="3f9c2a71")])


def _check(store: Store, writer: Writer, expected: int) -> None:
    """Nothing was lost, and the chain verifies."""
    with store.reading() as connection:
        head = verify_log(connection, LOG)
    if head.sequence != expected or head != writer.head:
        raise RuntimeError(f"the log ends at {head.sequence}, {expected} were recorded")
