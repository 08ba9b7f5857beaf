"""Real processes: started, watched and killed by their ids."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

import psutil

from shared.runtime.postgres.supervisor import free_port
from tests.support.waiting import wait_until

__all__ = [
    "ROOT",
    "RunningProcess",
    "alive",
    "clean_environment",
    "descendants",
    "free_port",
    "kill_all",
    "larder",
    "run_larder",
    "start_command",
    "wait_gone",
]

ROOT = Path(__file__).resolve().parents[2]


def alive(pid: int) -> bool:
    """Whether the process runs. A zombie does not."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def descendants(pid: int) -> list[int]:
    """The ids of the process's children, their children, and so on."""
    try:
        return [child.pid for child in psutil.Process(pid).children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def kill_all(pids: Sequence[int]) -> None:
    """SIGKILL to each that still runs; some end by themselves when others do."""
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def wait_gone(pids: Sequence[int], timeout: float = 20.0) -> None:
    wait_until(lambda: not any(alive(pid) for pid in pids), timeout, what=f"the end of processes {list(pids)}")


def clean_environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Ours without LARDER_… and PG… variables, with the project importable from any folder."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("LARDER_", "PG"))}
    return kept | {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"} | dict(extra or {})


class Process(Protocol):
    """What is used of subprocess.Popen."""

    pid: int

    def poll(self) -> int | None: ...

    def wait(self, timeout: float | None = None) -> int: ...

    def send_signal(self, number: int, /) -> None: ...

    def terminate(self) -> None: ...

    def kill(self) -> None: ...


class RunningProcess:
    """A process whose output, both streams in one, is in a file of its own. Leaving the `with` kills it."""

    def __init__(self, process: Process, output: Path) -> None:
        self.process = process
        self.output = output

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def returncode(self) -> int | None:
        return self.process.poll()

    def text(self) -> str:
        return self.output.read_text(errors="replace")

    def wait_for(self, pattern: str, timeout: float = 30.0) -> re.Match[str]:
        """The first match of the pattern in the output. Fails at once when the process ends without it."""

        def look() -> re.Match[str] | None:
            ended = self.process.poll() is not None
            match = re.search(pattern, self.text(), re.MULTILINE)
            assert match or not ended, f"ended with {self.returncode} before it said '{pattern}':\n{self.text()}"
            return match

        found = wait_until(look, timeout, what=f"'{pattern}' in {self.output}")
        assert found is not None
        return found

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def kill(self) -> None:
        """SIGKILL, and wait for the end."""
        self.process.kill()
        self.process.wait(10)

    def stop(self, timeout: float = 30.0) -> int:
        """SIGTERM, and wait for the end; the exit code."""
        self.process.terminate()
        return self.process.wait(timeout)

    def wait(self, timeout: float = 60.0) -> int:
        return self.process.wait(timeout)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            os.kill(self.pid, signal.SIGKILL)
        self.process.wait(10)


def start_command(
    command: Sequence[str | Path],
    output: Path,
    *,
    folder: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> RunningProcess:
    """Any program. `environment` is added to `clean_environment`."""
    with output.open("wb") as file:
        process = subprocess.Popen(
            [str(part) for part in command],
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            cwd=folder,
            env=clean_environment(environment),
            start_new_session=True,
        )
    return RunningProcess(process, output)


def larder(*arguments: str | Path, output: Path, environment: Mapping[str, str] | None = None) -> RunningProcess:
    """`larder …` as a process of its own, running on; `environment` as there."""
    return start_command([sys.executable, "-m", "deploy.cli", *arguments], output, environment=environment)


def run_larder(
    *arguments: str | Path, environment: Mapping[str, str] | None = None, timeout: float = 60.0
) -> "subprocess.CompletedProcess[str]":
    """`larder …` to its end. The exit code is for the caller to look at."""
    return subprocess.run(
        [sys.executable, "-m", "deploy.cli", *(str(argument) for argument in arguments)],
        env=clean_environment(environment),
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
