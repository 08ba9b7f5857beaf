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

from shared.runtime.postgres import launcher
from tests.support.processes import ROOT, alive, descendants, kill_all, wait_gone
from tests.support.unprivileged import AS_ROOT, Installation, installation_for_nobody
from tests.support.waiting import wait_until


@pytest.fixture(scope="module", params=["ourselves", "nobody"] if AS_ROOT else ["ourselves"])
def installation(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """As whom the tests run the launcher. A developer who is not root is unprivileged already."""
    if request.param == "nobody":
        with installation_for_nobody() as made:
            yield made
    else:
        home = tmp_path_factory.mktemp("home")  # below a folder of mode 0700
        yield Installation(Path(sys.executable), {"PYTHONPATH": str(ROOT)}, launcher.find_binaries(), home, user=None)


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
    process = subprocess.Popen(  # type: ignore[call-overload]
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
        kill_all([pid for pid in (process.pid, child) if pid])
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
            kill_all(everything)
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
        others = [pid for pid in everything if pid != backend]
        kill_all(others)
        wait_gone(others)
    try:
        with pytest.raises(launcher.PostgresBusyError):
            launcher.start(directory, binaries=installation.binaries, wait=0.1)
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
    half_way = subprocess.Popen(  # type: ignore[call-overload]
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
