"""How commands on the same machine find the one that serves: `running.json` in its --dir, mode 0600.

It holds the address and a key made at each start. It may be left behind by one that was killed, so whoever reads it
asks the address before believing it.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

import msgspec

FILE_NAME: Final = "running.json"


class Running(msgspec.Struct, frozen=True, kw_only=True):
    """Where the service answers, the key of this machine's commands, and its process."""

    url: str
    key: str
    pid: int


def announce(directory: Path, url: str, key: str) -> None:
    """Say that this process serves at `url`."""
    path = directory / FILE_NAME
    draft = path.with_suffix(".new")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(msgspec.json.encode(Running(url=url, key=key, pid=os.getpid())))
    draft.replace(path)


def find(directory: Path) -> Running | None:
    """Who was last said to serve; None where nobody was, or the file cannot be made out."""
    try:
        return msgspec.json.decode((directory / FILE_NAME).read_bytes(), type=Running)
    except (FileNotFoundError, msgspec.MsgspecError, UnicodeDecodeError):
        return None


def withdraw(directory: Path) -> None:
    """This process serves no more. Another's announcement is left alone."""
    found = find(directory)
    if found is not None and found.pid == os.getpid():
        (directory / FILE_NAME).unlink(missing_ok=True)
