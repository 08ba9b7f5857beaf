"""How a row is measured: every contender of its group in turns (A B C A B C …), the median of the rounds.

A group opens what its contenders need (databases, servers) and yields them as functions; each call of one is a whole
measurement and answers with figures by name, such as `{"rate": 7000.0, "p99": 0.009}` (seconds, events a second,
bytes). Work that must not share an interpreter with the harness runs as a child process (`Bench.child`).
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from shared.runtime.postgres import launcher
from tests.benchmarks.machine import peak_memory, spin_seconds
from tests.support.processes import ROOT, clean_environment

Figures = dict[str, float]
Contender = Callable[[], Figures]
CHILD_SECONDS = 900

# As head office and the coordinator run it, and as a careful person would run the yardsticks: every commit is synced.
POSTGRES = {
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "shared_buffers": "512MB",
    "max_wal_size": "4GB",
    "wal_level": "logical",
    "max_connections": "200",
    "wal_retrieve_retry_interval": "100ms",
}


class Bench:
    """What the groups share: a folder, the scale, the databases, and the memory that services were seen to take."""

    def __init__(self, folder: Path, *, divisor: int = 1, say: Callable[[str], None]) -> None:
        self.folder = folder
        self.divisor = divisor
        self.say = say
        self.memory: dict[str, int] = {}
        self.spins: list[float] = []
        self._stack = ExitStack()
        self._clusters: dict[str, launcher.Cluster] = {}
        self._numbers = 0

    def __enter__(self) -> Bench:
        return self

    def __exit__(self, *failure: object) -> None:
        self._stack.close()

    def scale(self, full: int) -> int:
        """How many of something to do: all, a tenth with --quick, a thousandth in the test of every row."""
        return max(1, full // self.divisor)

    def new_folder(self, name: str) -> Path:
        self._numbers += 1
        path = self.folder / f"{self._numbers:03d}-{name}"
        path.mkdir()
        return path

    def cluster(self, name: str) -> launcher.Cluster:
        """A PostgreSQL of that name, fsync on, started once and stopped with the bench."""
        if name not in self._clusters:
            override = os.environ.get("LARDER_PG_BIN")
            binaries = launcher.find_binaries(Path(override) if override else None)
            started = launcher.start(self.folder / f"postgres-{name}", binaries=binaries, options=POSTGRES)
            self._clusters[name] = self._stack.enter_context(started)
        return self._clusters[name]

    def database(self, cluster: launcher.Cluster, name: str) -> str:
        """A fresh database; its name."""
        self._numbers += 1
        unique = f"{name}_{self._numbers}"
        cluster.create_database(unique)
        return unique

    def child(self, target: str, /, **arguments: Any) -> Any:
        """Call `module:function` of this package in a process of its own; its answer. The arguments must be JSON."""
        command = [sys.executable, "-m", "tests.benchmarks.child", target]
        done = subprocess.run(
            command,
            input=json.dumps(arguments),
            env=clean_environment(),
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=CHILD_SECONDS,
            check=False,
        )
        if done.returncode != 0:
            raise RuntimeError(f"{target} ended with {done.returncode}:\n{done.stderr[-4_000:]}")
        return json.loads(done.stdout.splitlines()[-1])

    def note_memory(self, service: str, pid: int) -> None:
        """Keep the most memory (bytes, resident) that a service was seen to take, its own children included."""
        self.memory[service] = max(self.memory.get(service, 0), peak_memory(pid))


@dataclass(frozen=True)
class Group:
    """Contenders that are measured in turns, `rounds` times, after a round that does not count."""

    name: str
    open: Callable[[Bench], AbstractContextManager[Mapping[str, Contender]]]
    rounds: int = 5
    warm_up: bool = True


@dataclass
class Measured:
    """The rounds of one contender."""

    rounds: list[Figures] = field(default_factory=list)

    def median(self, figure: str) -> float:
        return statistics.median(each[figure] for each in self.rounds)


@dataclass
class Outcome:
    """What a group's run gave: the figures of each contender, and what could not be measured and why."""

    measured: dict[str, Measured] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)


def run_group(bench: Bench, group: Group, wanted: Iterable[str], rounds: int) -> Outcome:
    """Measure the wanted contenders in turns. One that fails is left out of the further rounds, and its reason told."""
    outcome = Outcome()
    with group.open(bench) as contenders:
        names = [name for name in contenders if name in set(wanted)]
        for number in range(rounds + group.warm_up):
            for name in names:
                if name in outcome.failed:
                    continue
                bench.spins.append(spin_seconds())
                begin = time.perf_counter()
                try:
                    figures = contenders[name]()
                except Exception as error:  # noqa: BLE001 - one contender's failure is a row's result, and is printed
                    outcome.failed[name] = f"{type(error).__name__}: {error}"
                    bench.say(f"  {group.name}: {name} failed: {outcome.failed[name][:600]}")
                    continue
                warming = group.warm_up and number == 0
                told = ", ".join(f"{figure} {value:,.4g}" for figure, value in figures.items())
                label = "warm-up" if warming else f"round {number + (not group.warm_up)}"
                bench.say(f"  {group.name} {label}: {name}: {told}  ({time.perf_counter() - begin:.1f} s)")
                if not warming:
                    outcome.measured.setdefault(name, Measured()).rounds.append(figures)
    return outcome
