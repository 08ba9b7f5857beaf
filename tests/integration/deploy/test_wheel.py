"""The wheel as users get it: the five packages whole, nothing of the tests, and it starts from anywhere."""

import json
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

from tests.support.processes import ROOT, clean_environment

PACKAGES = ("branch_node", "head_office", "transfer_coordinator", "shared", "deploy")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, ROOT]
    subprocess.run(command, check=True, capture_output=True)  # type: ignore[arg-type]
    (built,) = folder.iterdir()
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the programs of an environment that holds the wheel, not our source, and what it depends on."""
    environment = tmp_path_factory.mktemp("installed") / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True)
    python = environment / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", python, "--disable-pip-version-check", "install", "--quiet"]
    subprocess.run([*pip, "--no-deps", "--no-index", wheel], check=True)  # type: ignore[list-item]
    ask = "import sysconfig; print(sysconfig.get_path('purelib'))"
    packages = Path(subprocess.run([python, "-c", ask], check=True, capture_output=True, text=True).stdout.strip())
    # A folder named in a .pth file is searched, but its own .pth files, as of our editable installation, are not read.
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return environment / "bin"


def in_our_packages() -> set[str]:
    files = (path for package in PACKAGES for path in (ROOT / package).rglob("*") if path.is_file())
    return {path.relative_to(ROOT).as_posix() for path in files if path.suffix != ".pyc"}


def test_it_lists_the_five_packages_whole_and_nothing_else(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    described = {name for name in names if name.split("/")[0].endswith(".dist-info")}
    assert names - described == in_our_packages()
    assert {name.split("/")[0] for name in names - described} == set(PACKAGES)
    assert any(name.endswith("/licenses/LICENSE") for name in described)


def run(program: Path, *arguments: str, folder: Path, timeout: float = 60) -> "subprocess.CompletedProcess[str]":
    environment = {name: value for name, value in clean_environment().items() if name != "PYTHONPATH"}
    return subprocess.run(
        [program, *arguments], cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=timeout
    )


def test_it_starts_from_another_folder(installed: Path, tmp_path: Path) -> None:
    done = run(installed / "larder", "--help", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "head-office" in done.stdout
    assert run(installed / "larder", "--version", folder=tmp_path).stdout.startswith("larder ")


def test_it_plays_the_demo_from_another_folder(installed: Path, tmp_path: Path) -> None:
    """Migrations, templates and static files are in the wheel, or this would not start; and every check holds."""
    done = run(installed / "larder", "demo", "--once", "--json", folder=tmp_path, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads(done.stdout)
    assert len(told["checks"]) == 6
    assert [check["name"] for check in told["checks"] if not check["holds"]] == []
    assert sorted(told["transfers"].values()) == ["COMPLETED", "REJECTED", "REVERSED"]


def test_what_starts_is_the_wheel_and_not_our_source(installed: Path, tmp_path: Path) -> None:
    program = (
        "import importlib.util, sys\n"
        "for name in sys.argv[1:]: spec = importlib.util.find_spec(name); print(spec and spec.origin)\n"
    )
    done = run(installed / "python", "-c", program, *PACKAGES, "tests", folder=tmp_path)
    *found, tests = done.stdout.split()
    assert [Path(origin).is_relative_to(installed.parent) for origin in found] == [True] * len(PACKAGES)
    assert tests == "None"
