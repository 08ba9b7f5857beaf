"""Processes forked from one that has imported the product: importing it takes longer than what most tests do with it.

They are processes like any other: an id, an address space and signals of their own. What start-up itself does is for
the tests that run `python -m deploy.cli` and the installed command.
"""

from __future__ import annotations

import io
import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from tests.support.processes import RunningProcess, clean_environment

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["tests.support.preload"])


class ForkedProcess:
    """A process that calls `program(*arguments)`, with the methods of subprocess.Popen that the tests use.

    Both output streams go to the files given, which are emptied first; `errors` is `output` unless given.
    """

    def __init__(
        self,
        program: Callable[..., object],
        *arguments: object,
        output: Path,
        errors: Path | None = None,
        text: str = "",
        environment: Mapping[str, str],
    ) -> None:
        for path in {output, errors or output}:
            path.write_bytes(b"")
        self._process = _CONTEXT.Process(
            target=_run,
            args=(program, arguments, output, errors or output, text, dict(environment)),
            daemon=True,
        )
        self._process.start()
        assert self._process.pid is not None
        self.pid = self._process.pid

    @property
    def returncode(self) -> int | None:
        return self._process.exitcode

    def poll(self) -> int | None:
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        """The exit code, negative for a signal. Raises subprocess.TimeoutExpired."""
        self._process.join(timeout)
        code = self._process.exitcode
        if code is None:
            raise subprocess.TimeoutExpired(f"process {self.pid}", timeout or 0.0)
        return code

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def _run(
    program: Callable[..., object],
    arguments: tuple[object, ...],
    output: Path,
    errors: Path,
    text: str,
    environment: dict[str, str],
) -> None:
    """In the new process: what the system and the interpreter would have prepared, then the program."""
    os.setsid()
    reading, writing = os.pipe()
    if text:
        os.write(writing, text.encode())
    os.close(writing)
    _replace(0, reading)
    for number, path in ((1, output), (2, errors)):
        _replace(number, os.open(path, os.O_WRONLY | os.O_APPEND))
    sys.stdin = sys.__stdin__ = os.fdopen(0, closefd=False)  # type: ignore[misc]
    sys.stdout = sys.__stdout__ = _text(1)  # type: ignore[misc]
    sys.stderr = sys.__stderr__ = _text(2)  # type: ignore[misc]
    os.environ.clear()
    os.environ.update(environment)
    time.tzset()
    program(*arguments)


def _replace(number: int, descriptor: int) -> None:
    os.dup2(descriptor, number)
    os.close(descriptor)


def _text(number: int) -> io.TextIOWrapper:
    """Unbuffered, as PYTHONUNBUFFERED makes it."""
    raw = os.fdopen(number, "wb", buffering=0, closefd=False)
    return io.TextIOWrapper(raw, errors="backslashreplace", write_through=True)


def start_program(program: Callable[..., object], *arguments: object, output: Path) -> RunningProcess:
    """A function of a module, running on in a process of its own."""
    return RunningProcess(ForkedProcess(program, *arguments, output=output, environment=clean_environment()), output)


def larder(*arguments: str | Path, output: Path) -> RunningProcess:
    """`larder …` as a process of its own, running on."""
    return start_program(command_line, *(str(argument) for argument in arguments), output=output)


def run_larder(*arguments: str | Path, timeout: float = 60.0, text: str = "") -> subprocess.CompletedProcess[str]:
    """`larder …` to its end; `text` is its input. The exit code is for the caller to look at."""
    given = [str(argument) for argument in arguments]
    with tempfile.TemporaryDirectory() as folder:
        output, errors = Path(folder) / "output", Path(folder) / "errors"
        environment = clean_environment()
        process = ForkedProcess(command_line, *given, output=output, errors=errors, text=text, environment=environment)
        try:
            code = process.wait(timeout)
        finally:
            process.kill()
        return subprocess.CompletedProcess(["larder", *given], code, output.read_text(), errors.read_text())


def command_line(*arguments: str) -> None:
    """`larder …` in this process."""
    from deploy import cli

    sys.argv = ["larder", *arguments]
    cli.main()
