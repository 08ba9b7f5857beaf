"""Head office and the branches of one simulated history: how they are set up, work, die, are cut off and come back."""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from typing import Any, ClassVar, Final

from shared.runtime.clock import SECOND
from tests.simulation.branch import SimulatedBranch
from tests.simulation.callers import Callers
from tests.simulation.clock import VirtualClock
from tests.simulation.history import FAULTS
from tests.simulation.network import AsgiCaller, Network
from tests.simulation.office import ITEMS, KEYS, LOCATIONS, OFFICE_HOST, SimulatedOffice
from tests.support.memory_folder import memory_folder

CRASHES: Final = ("before the commit", "after the commit")


class HostedGroup:
    """One seed's world: the real services on a virtual clock and a lossy network. Base of histories."""

    CRASH_CHANCE: ClassVar = 0.04
    """How likely a process dies in a commit."""
    ENDS: ClassVar[Sequence[str]] = LOCATIONS
    """Whose line to head office may be cut."""

    def __init__(self, seed: int, office_url: str, prefix: str) -> None:
        self.seed = seed
        self.random = Random(seed)
        self.clock = VirtualClock()
        self.injected: Counter[str] = Counter()
        self.trace: list[str] = []
        self.caller = AsgiCaller()
        self.network = Network(Random(seed + 1), self.caller, self.injected, {})
        self.folder = Path(tempfile.mkdtemp(prefix=prefix, dir=memory_folder()))
        self.office = SimulatedOffice(office_url, self.folder, self.clock)
        self.branches: dict[str, SimulatedBranch] = {}
        self.calm = False
        """No process dies in a commit any more."""

    def add_branches(self, stock: Callers) -> None:
        """Set up the branches, each with stock that head office knows; from here on the network has faults."""
        for number, name in enumerate(LOCATIONS):
            folder = self.folder / name
            folder.mkdir()
            branch = SimulatedBranch(
                name, folder, KEYS[name], self.clock, self.network, Random(self.seed * 31 + number)
            )
            branch.set_up()
            branch.start()
            self.branches[name] = branch
            for what in ("ship", "pull"):
                branch.step(what)
            branch.commit([stock.delivery(name, item).make() for item in ITEMS])
            branch.step("ship")
        self.network.faults = dict(FAULTS)

    def close(self) -> None:
        """End every service and remove what they stored."""
        for branch in self.branches.values():
            branch.close()
        self.office.close()
        self.caller.close()
        shutil.rmtree(self.folder)

    def _advance(self, seconds: int) -> None:
        self.clock.advance(seconds * SECOND + self.random.randint(1, 999_999))

    def _crash_at(self, chance: float | None = None) -> str | None:
        chance = self.CRASH_CHANCE if chance is None else chance
        return self.random.choice(CRASHES) if not self.calm and self.random.random() < chance else None

    def _one_running(self) -> SimulatedBranch | None:
        running = [branch for branch in self.branches.values() if branch.up]
        return self.random.choice(running) if running else None

    def _alive(self, branch: SimulatedBranch, act: Callable[[], Any]) -> Any:
        branch.crash_at = self._crash_at()
        return branch.attempt(act)

    def _agent(self, what: str) -> None:
        branch = self._one_running()
        if branch is not None:
            self.office.crash_at = self._crash_at(0.03)
            result = self._alive(branch, lambda: branch.step(what))
            self.office.crash_at = None
            self.trace.append(f"{branch.location_id} {what} -> {result}")

    def _crash_branch(self) -> None:
        branch = self._one_running()
        if branch is not None:
            self.trace.append(f"{branch.location_id} is killed")
            branch.crash()

    def _crash_office(self) -> None:
        if self.office.app is not None:
            self._office_down()

    def _office_down(self) -> None:
        self.trace.append("head office is gone")
        self.office.vanish(self.network)

    def _start_office(self) -> None:
        self.office.start()
        self.office.appear(self.network, self._office_down)

    def _bring_up(self) -> None:
        if self.office.app is None:
            self._start_office()
        for branch in self.branches.values():
            if not branch.up:
                branch.start()

    def _cut_or_join(self) -> None:
        if self.network.cut:
            self.network.cut.clear()
        else:
            self.network.cut.add((self.random.choice(self.ENDS), OFFICE_HOST))
            self.injected["link cut"] += 1
