"""Sending a command so that it acts once, even where this process is killed or the answer never comes.

The key is made and kept in `pending.json` before the first try, and forgotten with the answer. Given the same command
again while it is still there, the same key is sent: what was recorded the first time is answered, not recorded twice.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import msgspec

from branch_node.cli.output import Refused
from branch_node.settings import load
from shared.runtime.client import RemoteProblem, ServiceClient, Unreachable
from shared.runtime.clock import IdFactory, SystemClock

FILE_NAME: Final = "pending.json"
TRIES: Final = 4
FORGET_AFTER_SECONDS: Final = 7 * 86_400
MOST: Final = 1_000


class Pending(msgspec.Struct, frozen=True):
    """A command that was sent and has no answer yet: the id made for it, and when it was first sent (seconds)."""

    made: str
    since: float


def send(node: ServiceClient, directory: Path | None, path: str, body: dict[str, Any]) -> Any:
    """POST a command under a key that is made and kept; its answer."""
    return _kept_send(directory, path, body, lambda made: post(node, path, body, key=made))


def send_named(node: ServiceClient, directory: Path | None, path: str, body: dict[str, Any], member: str) -> Any:
    """POST a command that is known again by a member of its body, which is made and kept; its answer."""
    return _kept_send(directory, path, body, lambda made: post(node, path, {**body, member: made}))


def post(node: ServiceClient, path: str, body: dict[str, Any], *, key: str | None = None) -> Any:
    """POST a command that the caller, or the command itself, gives a key to; its answer."""
    try:
        return node.post(path, body, idempotency_key=key, tries=TRIES)
    except Unreachable as lost:
        raise Refused(
            f"no answer, so it is not known whether it was recorded ({lost})",
            "Give the very same command again: it is recorded once, however often it is given.",
        ) from lost


def _kept_send(directory: Path | None, path: str, body: dict[str, Any], act: Callable[[str], Any]) -> Any:
    folder = load(directory).dir
    digest = sha256(msgspec.json.encode([path, body], order="sorted")).hexdigest()
    with _kept(folder) as pending:
        mine = pending.setdefault(digest, Pending(str(IdFactory()(SystemClock().now())), time.time()))
    try:
        answer = act(mine.made)
    except RemoteProblem:
        _forget(folder, digest)  # an answer: nothing was recorded
        raise
    _forget(folder, digest)
    return answer


def _forget(folder: Path, digest: str) -> None:
    with _kept(folder) as pending:
        pending.pop(digest, None)


@contextmanager
def _kept(folder: Path) -> Iterator[dict[str, Pending]]:
    """The pending commands, to be changed in place; written back whole. One process at a time."""
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
        kept = {digest: each for digest, each in found.items() if each.since > old}
        newest = dict(sorted(kept.items(), key=lambda each: each[1].since)[-MOST:])
        if newest == before:
            return
        draft = path.with_suffix(".new")
        with draft.open("wb") as file:
            file.write(msgspec.json.encode(newest))
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
