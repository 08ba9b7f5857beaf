"""The file `running.json` in a service's --dir (mode 0600), by which commands on the same machine find the service.

It holds the service's address and a key that is made at each start. A service that was killed leaves it behind, so a
reader sends a request to the address before relying on it.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Final

import msgspec

FILE_NAME: Final = "running.json"


class RunningService(msgspec.Struct, frozen=True, kw_only=True):
    """The service's address, the key for commands of this machine (empty where they need none), and its process id."""

    url: str
    key: str
    pid: int


def write(directory: Path, url: str, key: str) -> None:
    """Record that this process serves at `url`; replaces what another process wrote. Raises OSError."""
    path = directory / FILE_NAME
    draft = path.with_suffix(".new")
    content = msgspec.json.encode(RunningService(url=url, key=key, pid=os.getpid()))
    try:
        _write(draft, content)
    except OSError as error:
        if error.errno not in {errno.ENOSPC, errno.EDQUOT}:
            raise
        # What a killed process left behind is wrong anyway, and its room may be enough on a full disk.
        path.unlink(missing_ok=True)
        _write(draft, content)
    draft.replace(path)


def _write(path: Path, content: bytes) -> None:
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)


def read(directory: Path) -> RunningService | None:
    """The service that was last recorded; None where the file is missing or cannot be decoded."""
    try:
        return msgspec.json.decode((directory / FILE_NAME).read_bytes(), type=RunningService)
    except (FileNotFoundError, msgspec.MsgspecError, UnicodeDecodeError):
        return None


def remove(directory: Path) -> None:
    """Remove the file if this process wrote it."""
    found = read(directory)
    if found is not None and found.pid == os.getpid():
        (directory / FILE_NAME).unlink(missing_ok=True)
