"""Rows measured as library calls: appending, and importing a CSV, against plain sqlite3 and `eventsourcing`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial

from tests.benchmarks.harness import Bench, Contender, Figures, Group

EVENTS = {1: 5_000, 100: 60_000, 1_000: 100_000}
ROWS = 100_000


@contextmanager
def contenders(bench: Bench) -> Iterator[Mapping[str, Contender]]:
    """Every measurement has a database of its own, and a process of its own."""

    def plain(size: int) -> Figures:
        path = str(bench.new_folder("plain") / "plain.db")
        return bench.child("yard_sqlite:append", path=path, events=bench.scale(EVENTS[size]), group=size)

    def ours(size: int) -> Figures:
        folder = str(bench.new_folder("branch"))
        return bench.child("ours_branch:append", folder=folder, events=bench.scale(EVENTS[size]), group=size)

    def whole(size: int) -> Figures:
        folder = str(bench.new_folder("branch"))
        return bench.child("ours_branch:record", folder=folder, events=bench.scale(EVENTS[size]), group=size)

    def eventsourcing() -> Figures:
        path = str(bench.new_folder("eventsourcing") / "events.db")
        return bench.child("yard_eventsourcing:append", path=path, events=bench.scale(40_000), group=100)

    def csv() -> Figures:
        return bench.child("ours_branch:import_csv", folder=str(bench.new_folder("import")), rows=bench.scale(ROWS))

    found: dict[str, Contender] = {}
    for size in EVENTS:
        found[f"plain-{size}"] = partial(plain, size)
        found[f"append-{size}"] = partial(ours, size)
        found[f"record-{size}"] = partial(whole, size)
    found["eventsourcing"] = eventsourcing
    found["import"] = csv
    yield found


LIBRARY_GROUP = Group("library", contenders, rounds=5, warm_up=False)
