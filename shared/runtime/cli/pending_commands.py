"""Commands that take effect once, even where this process is killed or the answer is lost.

An id is made and stored in `pending.json` in the service's --dir before the first request, and removed with the answer.
The same command given again while it is stored sends the same id: the service answers what it recorded the first time.
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

from shared.runtime.cli.errors import CommandRefused
from shared.runtime.client import RemoteProblem, ServiceClient, Unreachable
from shared.runtime.clock import IdFactory, SystemClock

FILE_NAME: Final = "pending.json"
TRIES: Final = 4
KEEP_SECONDS: Final = 7 * 86_400
MOST: Final = 1_000


class PendingCommand(msgspec.Struct, frozen=True):
    """A command without an answer: the id made for it, and when it was first sent (Unix seconds)."""

    made: str
    since: float


def post_command(client: ServiceClient, path: str, body: dict[str, Any], *, key: str | None = None) -> Any:
    """POST a command that has a key or id already; its answer. Raises RemoteProblem, CommandRefused without answer."""
    try:
        return client.post(path, body, idempotency_key=key, tries=TRIES)
    except Unreachable as error:
        raise CommandRefused(
            f"no answer, so it is not known whether it was recorded ({error})",
            "Give the very same command again: it is recorded once, however often it is given.",
        ) from error


def post_pending(
    client: ServiceClient, directory: Path, path: str, body: dict[str, Any], *, id_member: str | None = None
) -> Any:
    """POST a command under an id that is made and stored first; its answer. Raises as `post_command`.

    The id is sent as the body's member `id_member`, else as the Idempotency-Key.
    """
    digest = sha256(msgspec.json.encode([path, body], order="sorted")).hexdigest()
    with _stored(directory) as pending:
        mine = pending.setdefault(digest, PendingCommand(str(IdFactory()(SystemClock().now())), time.time())).made
    try:
        if id_member is None:
            answer = post_command(client, path, body, key=mine)
        else:
            answer = post_command(client, path, {**body, id_member: mine})
    except RemoteProblem:
        _forget(directory, digest)  # an answer: nothing was recorded
        raise
    _forget(directory, digest)
    return answer


def _forget(directory: Path, digest: str) -> None:
    with _stored(directory) as pending:
        pending.pop(digest, None)


@contextmanager
def _stored(directory: Path) -> Iterator[dict[str, PendingCommand]]:
    """The stored commands by digest, to be changed in place; the file is replaced as a whole, under a lock."""
    path = directory / FILE_NAME
    with (directory / f"{FILE_NAME}.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            found = msgspec.json.decode(path.read_bytes(), type=dict[str, PendingCommand])
        except (FileNotFoundError, msgspec.MsgspecError, UnicodeDecodeError):
            found = {}
        before = dict(found)
        yield found
        oldest = time.time() - KEEP_SECONDS
        recent = sorted((each.since, digest) for digest, each in found.items() if each.since > oldest)[-MOST:]
        kept = {digest: found[digest] for _, digest in recent}
        if kept == before:
            return
        draft = path.with_suffix(".new")
        with draft.open("wb") as file:
            file.write(msgspec.json.encode(kept))
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
