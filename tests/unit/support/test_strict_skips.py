"""The plugin that makes a skip a failure, tried on test files of its own."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.processes import clean_environment
from tests.support.strict_skips import ALLOWED, NO_DOCKER

SKIPS = f"""
import pytest

def test_in_its_body():
    pytest.skip("tired")

@pytest.mark.skip(reason="not today")
def test_marked():
    pass

@pytest.fixture
def absent():
    pytest.skip("no fixture")

def test_by_a_fixture(absent):
    pass

def test_allowed():
    pytest.skip({NO_DOCKER!r})

@pytest.mark.xfail(reason="known", strict=True)
def test_expected_to_fail():
    assert False

def test_good():
    pass
"""
WHOLE_FILE = "import pytest\npytest.skip('the whole file', allow_module_level=True)\n"


def run(folder: Path, *options: str, content: str = SKIPS, asked: str = "0") -> "subprocess.CompletedProcess[str]":
    (folder / "test_skips.py").write_text(content)
    (folder / "pytest.ini").write_text("[pytest]\naddopts = -ra -p tests.support.strict_skips -p no:cacheprovider\n")
    command = [sys.executable, "-m", "pytest", "-p", "xdist", *options]
    # Other plugins take seconds to load, and are not tried here.
    environment = clean_environment({"LARDER_STRICT_SKIPS": asked, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"})
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_without_strictness_a_skip_is_a_skip(tmp_path: Path) -> None:
    done = run(tmp_path)
    assert "1 passed, 4 skipped, 1 xfailed" in done.stdout
    assert done.returncode == 0


@pytest.mark.parametrize("options", [["--strict-skips"], ["--strict-skips", "-n", "2"], []])
def test_with_strictness_only_the_named_reasons_remain(tmp_path: Path, options: list[str]) -> None:
    done = run(tmp_path, *options, asked="0" if options else "1")
    for reason in ("tired", "not today", "no fixture"):
        assert f"skipped, which is not allowed here: {reason}" in done.stdout
    assert NO_DOCKER in done.stdout
    assert f"not allowed here: {NO_DOCKER}" not in done.stdout
    assert "1 passed, 1 skipped, 1 xfailed" in done.stdout
    assert done.returncode == 1


def test_a_file_that_skips_itself_fails_too(tmp_path: Path) -> None:
    assert run(tmp_path, content=WHOLE_FILE).returncode == 5  # nothing was collected
    done = run(tmp_path, "--strict-skips", content=WHOLE_FILE)
    assert "skipped, which is not allowed here: the whole file" in done.stdout
    assert done.returncode == 2


def test_the_list_is_short() -> None:
    assert len(ALLOWED) == 3
