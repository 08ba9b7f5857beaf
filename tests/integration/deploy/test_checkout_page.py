"""The handbook's page on checkouts: its commands, run as they stand there against a real node, answer what it says."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from pathlib import Path
from typing import Any, Final, NamedTuple

from tests.support.forked import larder, run_larder
from tests.support.processes import ROOT, RunningProcess
from tests.support.waiting import wait_until

PAGE: Final = ROOT / "deploy" / "handbook" / "checkout.md"
ADDRESS: Final = "http://127.0.0.1:8101"


class Block(NamedTuple):
    """Commands, and what the page says that the last of them answers."""

    commands: tuple[str, ...]
    answer: dict[str, Any] | None


def blocks() -> list[Block]:
    found = re.findall(r"^```sh\n(.*?)^```\n(?:```json\n(.*?)^```)?", PAGE.read_text("utf-8"), re.M | re.S)
    return [Block(tuple(commands.splitlines()), json.loads(answer) if answer else None) for commands, answer in found]


def test_what_the_page_links_to_is_there() -> None:
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", PAGE.read_text("utf-8")):
        assert (PAGE.parent / target).exists(), target
    assert "deploy/handbook/checkout.md" in (ROOT / "README.md").read_text("utf-8")


def test_every_command_of_the_page_answers_what_it_says(tmp_path: Path) -> None:
    reader = Reader(tmp_path)
    try:
        for block in blocks():
            for command in block.commands:
                reader.run(command, block.answer if command == block.commands[-1] else None)
            if block.answer is not None:
                assert missing(block.answer, reader.answer) == [], (block.commands, reader.answer)
    finally:
        for node in reader.running:
            node.stop()
    assert reader.answered >= 12


class Reader:
    """Somebody who types the page's commands: has a node, a key, and the last answer."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._address = ADDRESS
        self._known: dict[str, str] = {}
        self.running: list[RunningProcess] = []
        self.answer: dict[str, Any] = {}
        self.answered = 0

    def run(self, command: str, expected: dict[str, Any] | None) -> None:
        words = shlex.split(command, comments=True)
        if words[0] == "larder":
            self._larder([str(self._folder / "shop") if word == "shop" else word for word in words[1:]])
        elif words[0] == "RESERVATION=…":
            self._known["RESERVATION"] = self.answer["reservation_id"]
        elif words[0] == "KEY=lk_…":
            assert "KEY" in self._known
        else:
            self._curl(command, expected)

    def _larder(self, words: list[str]) -> None:
        if words[-1] == "&":
            port = words.index("--port")
            assert words[port + 1] == ADDRESS.rpartition(":")[2]
            arguments = [*words[:port], "--port", "0"]
            self.running.append(larder(*arguments, output=self._folder / "node.log"))
            self._address = self.running[-1].wait_for(r"ready on (http://\S+)", timeout=60)[1]
            return
        makes_key = words[1:3] == ["keys", "add"]
        result = run_larder(*words, *(["--json"] if makes_key else []))
        assert result.returncode == 0, (words, result.stdout, result.stderr)
        if makes_key:
            self._known["KEY"] = json.loads(result.stdout)["key"]

    def _curl(self, command: str, expected: dict[str, Any] | None) -> None:
        """Run it in a shell. What is only looked at is looked at again until it is what is expected: time passes."""
        assert command.startswith("curl ")
        line = command.replace(ADDRESS, self._address)

        def done() -> bool:
            run = subprocess.run(
                ["sh", "-euc", line], env=self._known | {"PATH": "/usr/bin:/bin:/usr/local/bin"}, capture_output=True,
                text=True, timeout=60, check=False,
            )  # fmt: skip
            assert run.returncode == 0, (line, run.stderr)
            self.answer = json.loads(run.stdout)
            return " -d " in line or expected is None or missing(expected, self.answer) == []

        wait_until(done, 30, what=line)
        self.answered += 1


def missing(expected: Any, found: Any, path: str = "") -> list[str]:
    """Where an answer lacks or contradicts what is expected of it; it may have more members."""
    if isinstance(expected, dict):
        if not isinstance(found, dict):
            return [path]
        return [
            fault
            for name, value in expected.items()
            for fault in ([f"{path}.{name}"] if name not in found else missing(value, found[name], f"{path}.{name}"))
        ]
    if isinstance(expected, list):
        if not isinstance(found, list) or len(found) != len(expected):
            return [path]
        pairs = enumerate(zip(expected, found, strict=True))
        return [fault for number, (one, other) in pairs for fault in missing(one, other, f"{path}[{number}]")]
    return [] if expected == found else [f"{path}: {found!r}"]


def test_an_answer_that_differs_is_found() -> None:
    assert missing({"a": [{"b": 1}]}, {"a": [{"b": 1, "c": 2}], "d": 3}) == []
    assert missing({"a": [{"b": 1}], "c": 2}, {"a": [{"b": 2}]}) == [".a[0].b: 2", ".c"]
    assert missing({"a": [1]}, {"a": [1, 2]}) == [".a"]
