"""The id of a transfer that a command creates, made and kept before the first try.

A command that was killed, or never got its answer, and is given again names the same transfer: it is created once.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import msgspec

FILE_NAME: Final = "pending.json"
FORGET_AFTER_SECONDS: Final = 7 * 86_400
MOST: Final = 1_000


class Pending(msgspec.Struct, frozen=True):
    """A transfer that was asked for and not answered: its id, and since when (seconds)."""

    transfer_id: str
    since: float


@contextmanager
def kept_id(folder: Path, body: dict[str, Any], new_id: str) -> Iterator[str]:
    """The id for this wish: the one of an earlier try that was never answered, else `new_id`.

    Forgotten at the end of the `with`, unless it is left by an exception that is no answer.
    """
    digest = sha256(msgspec.json.encode(body, order="sorted")).hexdigest()
    with _file(folder) as pending:
        mine = pending.setdefault(digest, Pending(new_id, time.time()))
    yield mine.transfer_id
    forget(folder, body)


def forget(folder: Path, body: dict[str, Any]) -> None:
    """An answer came."""
    with _file(folder) as pending:
        pending.pop(sha256(msgspec.json.encode(body, order="sorted")).hexdigest(), None)


@contextmanager
def _file(folder: Path) -> Iterator[dict[str, Pending]]:
    """What is pending, to be changed in place; written back whole. One process at a time."""
    path = folder / FILE_NAME
    with (folder / f"{FILE_NAME}.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            found = msgspec.json.decode(path.read_bytes(), type=dict[str, Pending])
        except (FileNotFoundError, msgspec.MsgspecError, UnicodeDecodeError):
            found = {}
        before = dict(found)
        yield found
        old = time.time() - FORGET_AFTER_SECONDS
        recent = sorted((each.since, digest) for digest, each in found.items() if each.since > old)[-MOST:]
        after = {digest: found[digest] for _, digest in recent}
        if after == before:
            return
        draft = path.with_suffix(".new")
        with draft.open("wb") as file:
            file.write(msgspec.json.encode(after))
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
