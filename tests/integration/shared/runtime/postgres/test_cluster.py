"""The embedded PostgreSQL as its users meet it: attach, take turns, be told what is wrong."""

import os
import signal
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import psycopg
import pytest
from sqlalchemy.exc import OperationalError

from shared.runtime.postgres import launcher, supervisor
from shared.runtime.postgres.launcher import PostgresError
from shared.runtime.postgres.service_database import ServiceDatabase
from shared.runtime.settings import PostgresSettings
from tests.support.processes import ROOT, descendants, wait_gone
from tests.support.waiting import wait_until


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "postgres"


@pytest.fixture(scope="module")
def binaries() -> Path:
    return launcher.find_binaries()


def test_databases_are_made_once(folder: Path, binaries: Path) -> None:
    with launcher.start(folder, binaries=binaries, options={"fsync": "off"}) as cluster:
        for name in ("kitchen", "kitchen", 'od"d näme'):
            cluster.create_database(name)
            with psycopg.connect(cluster.conninfo(name)) as connection:
                assert connection.execute("SELECT current_database()").fetchone() == (name,)
                assert connection.execute("SHOW fsync").fetchone() == ("off",)
        assert cluster.running()
    assert not cluster.running()
    cluster.stop()  # once more does no harm


def test_others_attach_and_leave_it_running(folder: Path, binaries: Path) -> None:
    assert launcher.attach(folder) is None
    with launcher.start(folder, binaries=binaries) as cluster:
        with launcher.attach_or_start(folder, binaries=binaries) as attached:
            assert (attached.url("x"), attached.owned, cluster.owned) == (cluster.url("x"), False, True)
            assert attached.running()
        with psycopg.connect(attached.conninfo()) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
        with pytest.raises(launcher.PostgresBusyError, match=str(os.getpid())):
            launcher.start(folder, binaries=binaries, wait=0.1)
        assert cluster.running()
    assert not attached.running()
    assert launcher.attach(folder) is None


def test_a_glance_reads_what_runs_and_starts_nothing(tmp_path: Path, binaries: Path) -> None:
    database = ServiceDatabase("kitchen", tmp_path, "version", "test", {})
    settings = PostgresSettings(dir=tmp_path)
    with database.glance(settings) as connection:
        assert connection is None
    assert list(tmp_path.iterdir()) == []
    with launcher.start(settings.postgres_folder, binaries=binaries) as cluster:
        cluster.create_database("kitchen")
        with database.glance(settings) as connection:
            assert connection is not None
            assert connection.exec_driver_sql("SELECT current_database()").scalar_one() == "kitchen"
            with pytest.raises(OperationalError, match="statement timeout"):
                connection.exec_driver_sql("SELECT pg_sleep(60)")
    with database.glance(settings) as connection:
        assert connection is None


def test_commands_take_turns_and_do_not_lean_on_each_other(folder: Path, binaries: Path) -> None:
    with launcher.attach_or_start(folder, binaries=binaries) as first:
        assert first.owned
        assert launcher.attach(folder) is None
        with pytest.raises(launcher.PostgresBusyError):
            launcher.attach_or_start(folder, binaries=binaries, wait=0.1)
    with launcher.attach_or_start(folder, binaries=binaries) as second:
        assert second.owned


def test_a_start_waits_for_a_short_command_to_end(folder: Path, binaries: Path) -> None:
    first = launcher.attach_or_start(folder, binaries=binaries)
    program = (
        "import sys; from pathlib import Path; from shared.runtime.postgres import launcher\n"
        "print('waiting', flush=True)\n"
        "with launcher.start(Path(sys.argv[1]), binaries=Path(sys.argv[2]), wait=60): print('mine', flush=True)\n"
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
    with launcher.start(folder, binaries=binaries) as cluster:
        postmaster = int((folder / "pgdata" / "postmaster.pid").read_text().split()[0])
        os.kill(postmaster, signal.SIGKILL)
        wait_until(lambda: not cluster.running())
        assert launcher.attach(folder) is None
    with launcher.start(folder, binaries=binaries) as cluster, psycopg.connect(cluster.conninfo()) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_a_server_that_will_not_stop_is_made_to(folder: Path, binaries: Path) -> None:
    before = set(descendants(os.getpid()))
    cluster = launcher.start(folder, binaries=binaries, stop_seconds=0.5)
    with closing(psycopg.connect(cluster.conninfo())) as stuck:
        os.kill(stuck.info.backend_pid, signal.SIGSTOP)
        everything = [pid for pid in descendants(os.getpid()) if pid not in before]
        assert stuck.info.backend_pid in everything
        cluster.stop()
        wait_gone(everything)


def test_a_refused_setting_says_why_and_leaves_nothing(folder: Path, binaries: Path) -> None:
    with pytest.raises(PostgresError, match='invalid value for parameter "shared_buffers"'):
        launcher.start(folder, binaries=binaries, options={"shared_buffers": "many"})
    with pytest.raises(ValueError, match="listen_addresses"):
        launcher.start(folder, binaries=binaries, options={"listen_addresses": "*"})
    with pytest.raises(ValueError, match="x y"):
        launcher.start(folder, binaries=binaries, options={"x y": "*"})
    with launcher.start(folder, binaries=binaries, wait=0):
        pass


def test_a_start_that_takes_too_long_is_given_up_whole(folder: Path, binaries: Path) -> None:
    before = set(descendants(os.getpid()))
    with pytest.raises(PostgresError, match="took no connections within 0 seconds"):
        launcher.start(folder, binaries=binaries, timeout=0)
    assert set(descendants(os.getpid())) <= before
    with launcher.start(folder, binaries=binaries, wait=0):
        pass


def test_data_of_another_version_is_refused(folder: Path, binaries: Path) -> None:
    with launcher.start(folder, binaries=binaries):
        pass
    (folder / "pgdata" / "PG_VERSION").write_text("14\n")
    with pytest.raises(PostgresError, match="made by PostgreSQL 14"):
        launcher.start(folder, binaries=binaries)


def test_a_server_that_was_started_by_hand_is_not_run_over(folder: Path, binaries: Path) -> None:
    with launcher.start(folder, binaries=binaries):
        pass
    by_hand = ["sleep", "60"]  # any process that works in the data folder
    with subprocess.Popen(by_hand, cwd=folder / "pgdata") as other:
        (folder / "pgdata" / "postmaster.pid").write_text(f"{other.pid}\n")
        with pytest.raises(launcher.PostgresBusyError, match=str(other.pid)):
            launcher.start(folder, binaries=binaries)
        other.kill()


def test_a_lost_password_is_named(folder: Path, binaries: Path) -> None:
    with launcher.start(folder, binaries=binaries):
        pass
    (folder / "password").unlink()
    before = set(descendants(os.getpid()))
    with pytest.raises(PostgresError, match="password is missing"):
        launcher.start(folder, binaries=binaries)
    assert set(descendants(os.getpid())) <= before


def test_the_log_is_bounded(tmp_path: Path) -> None:
    log = tmp_path / "postgres.log"
    with log.open("ab", buffering=0) as server:
        server.write(b"x" * 100)
        supervisor.bound_log(log, limit=100)
        assert log.stat().st_size == 100
        server.write(b"y")
        supervisor.bound_log(log, limit=100)
        server.write(b"z")
    assert log.read_bytes() == b"z"
    assert (tmp_path / "postgres.log.old").read_bytes() == b"x" * 100 + b"y"
