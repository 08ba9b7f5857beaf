"""Every command in README.md is run as it stands there, in one go, by real processes."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest

from tests.support.processes import ROOT, RunningProcess, free_port, larder, run_larder
from tests.support.waiting import wait_until

README = ROOT / "README.md"
SERVED = {"8000": "office", "8101": "hamra", "8102": "achrafieh", "8001": "transfers"}


def commands() -> list[str]:
    """The lines of README's shell blocks, in order."""
    blocks = re.findall(r"^```sh\n(.*?)^```", README.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    return [line for block in blocks for line in block.splitlines() if line.strip()]


def test_what_is_named_in_the_readme_is_there() -> None:
    text = README.read_text("utf-8")
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", text):
        assert (ROOT / target).exists(), f"README.md links to {target}"
    makefile = (ROOT / "Makefile").read_text("utf-8")
    for target in re.findall(r"`?make (\w+)", text):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), f"README.md tells of make {target}"


def test_every_command_of_the_readme(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    ports = {port: str(free_port()) for port in SERVED}
    keys: dict[str, str] = {}
    running: list[RunningProcess] = []
    lines = commands()
    assert len(lines) > 20
    try:
        for written in lines:
            line = written
            for port, other in ports.items():
                line = re.sub(rf"(:|--port ){port}\b", rf"\g<1>{other}", line)
            for name, key in keys.items():
                line = line.replace(f"${name}", key)
            assert "$" not in line, f"no key for: {line}"
            words = shlex.split(line)
            assert words[0] == "larder", line
            if words[-1] == "&":
                running.append(larder(*words[1:-1], output=tmp_path / f"serve-{len(running)}.log"))
                running[-1].wait_for("ready on http")
                continue
            _run(line, words[1:], keys)
    finally:
        for process in reversed(running):
            process.stop()


def _run(line: str, words: list[str], keys: dict[str, str]) -> None:
    """Run one command; those that make a key are asked for it in JSON. A new item may take a moment to a branch."""

    def done() -> bool:
        makes_key = words[1] == "init" or words[:3] == ["head-office", "locations", "add"] or "--role" in words
        result = run_larder(*words, *(["--json"] if makes_key else []))
        if result.returncode != 0 and "unknown-item" in result.stdout + result.stderr:
            return False
        assert result.returncode == 0, f"{line}\n{result.stdout}\n{result.stderr}"
        if makes_key and words[1] != "init":
            name = f"KEY_{words[3].replace('-', '_')}" if words[1] == "locations" else "KEY_COORDINATOR"
            keys[name] = json.loads(result.stdout)["key"]
        return True

    wait_until(done, 30, what=line)
