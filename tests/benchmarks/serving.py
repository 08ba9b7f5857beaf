"""Servers of the yardsticks as processes of their own."""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.benchmarks.harness import Bench
from tests.support.processes import ROOT, start_command
from tests.support.waiting import wait_until


@contextmanager
def yard_server(bench: Bench, name: str, *arguments: str | Path) -> Iterator[int]:
    """One application of `yard_http`; its port, once it takes connections."""
    output = bench.new_folder(name) / "output.log"
    command = [sys.executable, "-m", "tests.benchmarks.yard_http", name, *arguments]
    with start_command(command, output, folder=ROOT) as process:
        port = int(process.wait_for(r"^ready on (\d+)$")[1])
        wait_until(lambda: listening(port), what=f"{name} on port {port}")
        yield port
        process.stop()


def listening(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
