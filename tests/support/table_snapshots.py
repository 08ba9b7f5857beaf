"""Snapshots of what commands print on a terminal of a given width, as text files beside the tests.

Ids, keys and the moments of the run are replaced by others of the same length. LARDER_WRITE_SNAPSHOTS=1 writes the
files anew; look at what has changed before it is committed.
"""

from __future__ import annotations

import ast
import os
import re
import shlex
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from rich.cells import cell_len
from rich.text import Text
from typer.testing import CliRunner

from shared.runtime.cli import output, table_layout
from shared.runtime.clock import SystemClock

WIDTHS = (80, 160)
ANEW = "LARDER_WRITE_SNAPSHOTS"
_REPLACED = (
    (re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"), "01a2204d-beff-725a-8e8b-cba5acd2fa4f"),
    (re.compile(r"\blk_[0-9a-f]{12}_\S{43}"), f"lk_{'a' * 12}_{'b' * 43}"),
    (re.compile(r"\bwhsec_[A-Za-z0-9+/]{43}="), f"whsec_{'c' * 43}="),
    (re.compile(r"(?<=machine-)[0-9a-f]{8}\b"), "0123abcd"),
    (re.compile(r"(?<=[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:)[0-9]{2}"), "00"),
    (re.compile(r"\b[0-9a-f]{16}\b"), "0123456789abcdef"),
    (re.compile(r"\b[0-9a-f]{12}\b"), "0123456789ab"),
)
_NOW = "2026-07-01 12:00"
"""Stands for the minutes in which a test runs."""


def frozen_at(monkeypatch: pytest.MonkeyPatch, moment: int) -> None:
    """Let the system's clock of this process stand at a moment (microseconds UTC), for snapshots with its times."""
    monkeypatch.setattr(SystemClock, "now", lambda _clock: moment)


class TableSnapshots:
    """Runs commands of one Typer application on a terminal of `width`, and keeps what they print."""

    def __init__(self, app: Any, folder: Path, width: int, monkeypatch: pytest.MonkeyPatch) -> None:
        self._app = app
        self._folder = folder
        self._width = width
        self._parts: list[str] = []
        self._began = datetime.now(UTC)
        self.call_sites: set[tuple[str, int]] = set()
        """File and line of every `print_table` that printed rows."""
        real = table_layout.lay_out

        def lay_out(*arguments: Any) -> list[Text]:
            caller = sys._getframe(2)
            self.call_sites.add((caller.f_code.co_filename, caller.f_lineno))
            lines = real(*arguments)
            assert [line.plain for line in lines if cell_len(line.plain) > width] == []
            return lines

        monkeypatch.setattr(output, "lay_out", lay_out)
        for name, value in {"COLUMNS": str(width), "LINES": "50", "TERM": "dumb", "TTY_COMPATIBLE": "1"}.items():
            monkeypatch.setenv(name, value)

    def run(self, *arguments: str | Path, hidden: Sequence[str | Path] = (), exit_code: int = 0) -> str:
        """Run a command, its `hidden` arguments not shown, and keep what it printed."""
        result = CliRunner().invoke(self._app, [str(each) for each in (*arguments, *hidden)], catch_exceptions=False)
        assert result.exit_code == exit_code, result.output
        self.keep(f"$ larder {shlex.join(map(str, arguments))}\n{result.stdout}")
        return result.output

    def keep(self, printed: str) -> None:
        """Keep a text with its moments and ids replaced."""
        for pattern, text in _REPLACED:
            printed = pattern.sub(text, printed)
        for moment in self._minutes():
            printed = printed.replace(moment, _NOW).replace(moment[5:], _NOW[5:])
        printed = re.sub(rf"(?<=[a-z] ){datetime.now(UTC).year}\b", _NOW[:4], printed)
        self._parts.append("\n".join(line.rstrip() for line in printed.splitlines()))

    def _minutes(self) -> set[str]:
        """The minutes since the snapshot began, as the commands print them in UTC and in the time zone of the tests."""
        now = datetime.now(UTC) + timedelta(minutes=1)
        count = (now - self._began) // timedelta(minutes=1) + 1
        moments = [now - timedelta(minutes=each) for each in range(count + 1)]
        return {
            f"{each.astimezone(zone):%Y-%m-%d %H:%M}" for each in moments for zone in (UTC, ZoneInfo("Asia/Beirut"))
        }

    def compare(self) -> None:
        """Compare everything kept with the file of this width, or write it anew."""
        path = self._folder / f"{self._width}.txt"
        printed = "\n\n".join(self._parts) + "\n"
        if os.environ.get(ANEW):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(printed, encoding="utf-8")
        assert printed == path.read_text(encoding="utf-8")


def tables_without(folder: Path, seen: set[tuple[str, int]], *, but: Sequence[str] = ()) -> list[str]:
    """The calls of `print_table` in a folder's modules that printed no rows, but those in the functions named."""
    missing = []
    for path in sorted(folder.rglob("*.py")):
        for name, call in _calls(ast.parse(path.read_text(encoding="utf-8"))):
            lines = range(call.lineno, (call.end_lineno or call.lineno) + 1)
            if name not in but and not any(file == str(path) and line in lines for file, line in seen):
                missing.append(f"{path.name}:{call.lineno} in {name}")
    return missing


def _calls(tree: ast.Module) -> list[tuple[str, ast.Call]]:
    found = []
    for function in (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)):
        for node in ast.walk(function):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "print_table":
                found.append((function.name, node))
    return found
