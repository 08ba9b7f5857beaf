"""The demo as a process: what it started ends with it, however it ends."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.support.processes import alive, descendants, kill_all, larder, wait_gone

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("by", [signal.SIGINT, signal.SIGKILL])
def test_nothing_outlives_the_demo(tmp_path: Path, by: signal.Signals) -> None:
    demo = larder("demo", "--dir", tmp_path / "demo", output=tmp_path / "demo.log")
    started: list[int] = []
    try:
        demo.wait_for("Ctrl-C", timeout=120)
        started = descendants(demo.pid)
        assert len(started) >= 5
        assert "type: cut" not in demo.text()  # its standard input is no terminal
        demo.signal(by)
        wait_gone([demo.pid, *started], 60)
    finally:
        kill_all([each for each in (demo.pid, *started) if alive(each)])
