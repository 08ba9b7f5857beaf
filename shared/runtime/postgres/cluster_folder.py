"""The folder of an embedded PostgreSQL: `pgdata` (the cluster), `password` (of the superuser `larder`, mode 0600),
`endpoint.json` (port and state), `postgres.log` and `lock`.

The lock is held by the starting process, then by the supervisor, the server and each of its backends: while it is held
a process of this cluster may be alive, and once it is free none is.
"""

import fcntl
import json
import os
import secrets
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from shared.runtime.postgres.binaries import PostgresError, RunAs, child_environment, version

SUPERUSER = "larder"
POLL_SECONDS = 0.02
INITDB_SECONDS = 120.0
BUILTIN_LOCALE_SINCE = 17


class PostgresBusyError(PostgresError):
    """The PostgreSQL of that folder is in use by another process."""


@dataclass(frozen=True)
class Endpoint:
    """The state of the server as the supervisor last wrote it."""

    port: int
    ready: bool
    shared: bool
    owner: int


class Folder:
    """The folder of one cluster. It need not exist yet."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory.absolute()
        self.data = self.directory / "pgdata"
        self.log = self.directory / "postgres.log"
        self.endpoint_file = self.directory / "endpoint.json"

    def lock(self, wait: float) -> int:
        """Lock the folder; the descriptor of the lock file. A process that inherits the descriptor holds the lock too.

        Makes the folder if it is missing. Raises PostgresBusyError after `wait` seconds.
        """
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(self.directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        deadline = time.monotonic() + wait
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() < deadline:
                    time.sleep(POLL_SECONDS)
                    continue
                os.close(descriptor)
                endpoint = self.endpoint()
                by = f" (process {endpoint.owner})" if endpoint else ""
                raise PostgresBusyError(
                    f"the PostgreSQL in {self.directory} is in use by another command or service{by}"
                ) from None
            return descriptor

    def locked(self) -> bool:
        """Whether a process holds the lock."""
        try:
            descriptor = os.open(self.directory / "lock", os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(descriptor)
        return False

    def endpoint(self) -> Endpoint | None:
        """The endpoint that was last written; it is valid only while the lock is held."""
        try:
            return Endpoint(**json.loads(self.endpoint_file.read_text()))
        except FileNotFoundError:
            return None

    def remove_endpoint(self) -> Endpoint | None:
        """Remove and return the endpoint of an earlier server, so that it is not taken for the next one's."""
        last = self.endpoint()
        self.endpoint_file.unlink(missing_ok=True)
        return last

    def password(self) -> str:
        try:
            return (self.directory / "password").read_text()
        except FileNotFoundError:
            raise PostgresError(f"{self.directory / 'password'} is missing; restore it from the backup") from None

    def open_log(self) -> Path:
        """The path of the log, which is created with mode 0600 if it is missing."""
        os.close(os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600))
        return self.log

    def initialise(self, programs: Path, user: RunAs | None, lock: int, *, durable: bool) -> None:
        """Make the cluster in a scratch folder and rename that once it is complete.

        `lock` is passed on to initdb: if this process is killed, the next start waits for the orphaned initdb.
        """
        scratch = self.directory / "pgdata.new"
        shutil.rmtree(scratch, ignore_errors=True)  # left by a start that was killed
        self._make_password()
        scratch.mkdir(mode=0o700)
        with _opened_for(user, scratch) as data, self._password_for(user) as password:
            command = [
                *(str(programs / "initdb"), "-D", data.path, "-U", SUPERUSER, "--pwfile", password.path),
                *("--auth", "scram-sha-256", "--encoding", "UTF8", "--locale", "C", "--data-checksums"),
                "--no-instructions",
            ]
            if version(programs) >= BUILTIN_LOCALE_SINCE:
                command += ["--locale-provider", "builtin", "--builtin-locale", "C.UTF-8"]
            if not durable:
                command.append("--no-sync")
            try:
                subprocess.run(
                    command,
                    env=child_environment(),
                    cwd="/",
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    text=True,
                    check=True,
                    timeout=INITDB_SECONDS,
                    umask=0o077,
                    start_new_session=True,
                    pass_fds=[lock, *data.descriptors, *password.descriptors],
                    **(user.popen_arguments() if user else {}),
                )
            except subprocess.CalledProcessError as error:
                raise PostgresError(f"initdb failed in {self.directory}:\n{error.output[-2000:]}") from error
            except (OSError, subprocess.TimeoutExpired) as error:
                raise PostgresError(f"initdb failed in {self.directory}: {error}") from error
        scratch.rename(self.data)
        if durable:
            _sync_folder(self.directory)

    def check_version(self, programs: Path) -> None:
        """Raise PostgresError unless the cluster was made by the programs' major version."""
        made_by = int((self.data / "PG_VERSION").read_text())
        found = version(programs)
        if made_by != found:
            raise PostgresError(
                f"{self.data} was made by PostgreSQL {made_by}, but the programs in {programs} are of version {found}; "
                f"name the folder of PostgreSQL {made_by} in LARDER_PG_BIN, or dump there and restore here"
            )

    def clear_stale_pid(self) -> None:
        """Remove the pid file of a server that was killed.

        The caller holds the lock, so no server of Larder is alive; but the pid may belong to another process by now,
        and PostgreSQL would refuse to start. Raises PostgresBusyError for a foreign server on the same folder.
        """
        pid_file = self.data / "postmaster.pid"
        try:
            pid = int(pid_file.read_text().split("\n", 1)[0])
        except (FileNotFoundError, ValueError):
            pid = 0
        if pid and _serves(pid, self.data):
            raise PostgresBusyError(f"process {pid}, which Larder did not start, serves {self.data}; stop it first")
        pid_file.unlink(missing_ok=True)

    def _make_password(self) -> None:
        scratch = self.directory / "password.new"
        scratch.unlink(missing_ok=True)
        _write_private(scratch, secrets.token_urlsafe(24))
        scratch.rename(self.directory / "password")

    @contextmanager
    def _password_for(self, user: RunAs | None) -> "Iterator[_Opened]":
        """A password file for initdb, which runs as `user` and must not read the original: an unlinked copy."""
        if user is None:
            yield _Opened(str(self.directory / "password"), ())
            return
        copy = self.directory / "password.initdb"
        copy.unlink(missing_ok=True)
        _write_private(copy, self.password())
        with _opened_for(user, copy) as opened:
            copy.unlink()
            yield opened


@dataclass(frozen=True)
class _Opened:
    path: str
    descriptors: tuple[int, ...]


@contextmanager
def _opened_for(user: RunAs | None, path: Path) -> Iterator[_Opened]:
    """A path by which `user` opens the file or folder, even where it may not enter the folders above."""
    if user is None:
        yield _Opened(str(path), ())
        return
    os.chown(path, user.uid, user.gid)
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        yield _Opened(f"/proc/self/fd/{descriptor}", (descriptor,))
    finally:
        os.close(descriptor)


def _write_private(path: Path, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with open(descriptor, "w") as file:  # noqa: PTH123 - a descriptor, not a path
        file.write(text)
        file.flush()
        os.fsync(descriptor)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _serves(pid: int, data: Path) -> bool:
    """Whether that process works in the folder `data`. Without /proc only PostgreSQL's own check remains."""
    try:
        return Path(f"/proc/{pid}/cwd").samefile(data)
    except (FileNotFoundError, PermissionError, ProcessLookupError):
        return False
