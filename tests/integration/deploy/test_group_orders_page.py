"""The handbook's page "connect an order system", at head office: its commands and its client, run as they stand there.

Head office and its two branches are real processes; one of them is away while it is asked.
"""

from __future__ import annotations

import json
import re
import shlex
import sys
from pathlib import Path
from typing import Any, Final

import pytest

from tests.support.processes import ROOT, RunningProcess, free_port, larder, run_larder, start_command
from tests.support.waiting import wait_until

PAGE: Final = (ROOT / "deploy" / "handbook" / "order-system.md").read_text(encoding="utf-8")
GROUP: Final = PAGE.partition("\n## Orders of the whole group\n")[2]
PORTS: Final = ("8000", "8101", "8102")


def blocks(kind: str, text: str = GROUP) -> list[str]:
    """What stands in the fenced blocks of a kind; those of output have none."""
    fenced = re.findall(r"^```(\w*)\n(.*?)^```$", text, re.M | re.S)
    return [content for named, content in fenced if named == kind]


def masked(printed: str) -> str:
    """Without the moments, which are others each time."""
    return re.sub(r"\b\d\d-\d\d \d\d:\d\d\b", "MM-DD HH:MM", re.sub(r"\b20\d\d\b", "YEAR", printed)).strip()


def program() -> str:
    """The group's client: the branch's up to its loop, and the end that the page has for it."""
    before = re.findall(r"^`shop.py`:\n\n```python\n(.*?)^for told, data in", PAGE, re.M | re.S)
    return str(before[0]) + blocks("python")[0]


class Group:
    """Somebody who types the page's commands: what runs by now, and the keys and the secret that were printed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._ports = {port: str(free_port()) for port in PORTS}
        self._known: dict[str, str] = {}
        self.running: dict[str, RunningProcess] = {}

    def words(self, line: str) -> list[str]:
        for port, other in self._ports.items():
            line = re.sub(rf"(:|--port ){port}\b", rf"\g<1>{other}", line)
        for name, value in self._known.items():
            line = line.replace(f"${name}", value)
        assert "$" not in line, line
        return shlex.split(line)

    def run(self, block: str) -> str:
        """Every command of a block; what they print."""
        return "".join(self._run(self.words(line)) for line in block.splitlines())

    def _run(self, words: list[str]) -> str:
        assert words[0] == "larder", words
        if words[-1] == "&":
            served = words[words.index("--dir") + 1]
            log = self._folder / f"{served}-{len(self.running)}.log"
            self.running[served] = larder(*words[1:-1], output=log)
            self.running[served].wait_for("ready on http")
            return ""
        makes = {"locations": "key", "keys": "key", "sources": "secret"}.get(words[2])
        if makes is None:
            return self.done(*words[1:])
        made = json.loads(self.done(*words[1:], "--json"))
        where = words[4].replace("-", "_") if words[2] == "locations" else "VIEWER"
        self._known["SECRET" if makes == "secret" else f"KEY_{where}"] = made[makes]
        return ""

    @staticmethod
    def done(*words: str) -> str:
        """What a command prints. An item of head office takes a moment to its branches."""
        found: list[str] = []

        def tried() -> bool:
            result = run_larder(*words)
            if result.returncode != 0 and "unknown-item" in result.stdout + result.stderr:
                return False
            assert result.returncode == 0, (words, result.stdout, result.stderr)
            found.append(result.stdout)
            return True

        wait_until(tried, 30, what=" ".join(words))
        return found[-1]

    def json(self, *words: str) -> Any:
        return json.loads(self.done(*words, "--json"))


def test_the_group_from_its_start_to_an_order_that_found_its_branch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    starting, stocking, selling, telling, listing, returning, showing = blocks("sh")
    waits, said, shown = blocks("")
    group = Group(tmp_path)
    try:
        group.run(starting)
        group.run(stocking)

        def shipped() -> bool:
            held = group.json("head-office", "stock", "--dir", "office")["items"]
            return sorted((each["location_id"], each["on_hand"]) for each in held) == [("BEY-01", 20), ("BEY-02", 20)]

        wait_until(shipped, 30, what="both deliveries at head office")
        group.running["hamra"].stop()
        group.run(selling)
        (tmp_path / "groupshop.py").write_text(program(), encoding="utf-8")
        output = tmp_path / "groupshop.log"
        with start_command([sys.executable, *group.words(telling)[1:]], output) as client:
            wait_until(lambda: "asked" in output.read_text(), 30, what="an order that is asked for")
            assert masked(group.run(listing)) == masked(waits)
            assert client.returncode is None, output.read_text()
            group.run(returning)
            assert client.wait(90) == 0, output.read_text()
        assert output.read_text() == said
        assert masked(group.run(showing)) == masked(shown)
        stock = {place: group.json("branch", "stock", "milk", "--dir", place) for place in ("hamra", "achrafieh")}
        assert {place: (each["on_hand"], each["reserved"]) for place, each in stock.items()} == {
            "hamra": (3, 0),
            "achrafieh": (18, 0),
        }
    finally:
        for process in reversed(group.running.values()):
            process.stop()


def test_what_is_masked() -> None:
    assert masked("asked 2026\n11-29 15:00  x\n") == "asked YEAR\nMM-DD HH:MM  x"
