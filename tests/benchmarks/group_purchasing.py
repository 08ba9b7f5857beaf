"""The purchasing report over a realistic log against the SELECT of the projection; and one of 200 locations."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache, partial

from tests.benchmarks.harness import Bench, Contender, Figures, Group

ITEMS = 2_000
PLACES, EVENTS, TURNS = 20, 30, 7
MANY_PLACES, FEW_EVENTS = 200, 3
FILES = ("json", "csv", "xlsx")


@contextmanager
def contenders(bench: Bench) -> Iterator[Mapping[str, Contender]]:
    """A database for each size, filled once. The report and its yardstick take turns in one process."""

    @cache
    def filled(places: int, events: int) -> str:
        cluster = bench.cluster("one")
        url = cluster.url(bench.database(cluster, "purchasing"))
        bench.child("ours_purchasing:prepare", url=url, places=places, items_each=bench.scale(ITEMS), events=events)
        return url

    def compare() -> Figures:
        url = filled(max(2, bench.scale(PLACES)), EVENTS)
        figures: Figures = bench.child("ours_purchasing:compare", url=url, rounds=TURNS)
        return figures

    def memory(form: str) -> Figures:
        """Every item with a level: the most rows that there can be."""
        url = filled(max(2, bench.scale(MANY_PLACES)), FEW_EVENTS)
        figures: Figures = bench.child("ours_purchasing:memory", url=url, form=form, all_rows=True)
        return figures

    yield {"report": compare} | {f"memory-{form}": partial(memory, form) for form in FILES}


PURCHASING_GROUP = Group("purchasing", contenders, rounds=3, warm_up=False)
