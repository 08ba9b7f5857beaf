"""Where histories run, and how often each kind of fault was injected: printed at the end, over all workers."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.databases import Databases

FAULTS = "injected faults"


def pytest_terminal_summary(terminalreporter: Any) -> None:
    total: Counter[str] = Counter()
    for report in terminalreporter.getreports("passed") + terminalreporter.getreports("failed"):
        for name, value in report.user_properties:
            if name == FAULTS:
                total.update(value)
    if total:
        terminalreporter.section("injected into the simulated histories")
        for fault, times in total.most_common():
            terminalreporter.line(f"{times:>8}  {fault}")


@pytest.fixture(autouse=True)
def one_processor(databases: Databases) -> Iterator[None]:
    """Keep a worker and its database on one processor. They take turns, and to wake each other across processors takes
    as long as many a statement."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    us = [os.getpid()] + ([] if databases.postmaster is None else [databases.postmaster])
    processors = os.sched_getaffinity(0)
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    for pid in us:
        os.sched_setaffinity(pid, {sorted(processors)[worker % len(processors)]})
    yield
    for pid in us:
        os.sched_setaffinity(pid, processors)


@pytest.fixture
def tell_faults(record_property: Any) -> Any:
    """Call it with the counter of a test's histories."""

    def tell(injected: Counter[str]) -> None:
        record_property(FAULTS, dict(injected))

    return tell
