"""Prints, at the end of a run, how often each kind of fault was injected, over all workers."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

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


@pytest.fixture
def tell_faults(record_property: Any) -> Any:
    """Call it with the counter of a test's histories."""

    def tell(injected: Counter[str]) -> None:
        record_property(FAULTS, dict(injected))

    return tell
