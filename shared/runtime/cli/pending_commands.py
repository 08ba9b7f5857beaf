"""Commands that take effect once, even where this process is killed or the answer is lost.

An id is made and stored in `pending.json` in the service's --dir before the first request, and removed with the answer.
The same command given again while it is stored sends the same id: the service answers what it recorded the first time.
"""

from __future__ import annotations

import errno
import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import msgspec
from platformdirs import user_state_path

from shared.runtime.cli.errors import GIVE_AGAIN, CommandRefused
from shared.runtime.client import RemoteProblem, ServiceClient, Unreachable
from shared.runtime.clock import IdFactory, SystemClock
from shared.runtime.problems import Recorded

FILE_NAME: Final = "pending.json"
TRIES: Final = 4
KEEP_SECONDS: Final = 7 * 86_400
MOST: Final = 1_000


class PendingCommand(msgspec.Struct, frozen=True):
    """A command without an answer: the id made for it, and when it was first sent (Unix seconds)."""

    made: str
    since: float


class _PendingTransfer(msgspec.Struct, frozen=True):
    """An entry as `larder transfer create` formerly stored it, under the digest of the body alone."""

    transfer_id: str
    since: float


def post_command(client: ServiceClient, path: str, body: dict[str, Any], *, key: str | None = None) -> Any:
    """POST a command that has a key or id already; its answer. Raises RemoteProblem, CommandRefused without answer."""
    try:
        return client.post(path, body, idempotency_key=key, tries=TRIES)
    except Unreachable as error:
        raise CommandRefused(
            f"no answer, so it is not known whether it was recorded ({error})",
            GIVE_AGAIN,
        ) from error


def post_pending(
    client: ServiceClient, directory: Path, path: str, body: dict[str, Any], *, id_member: str | None = None
) -> Any:
    """POST a command under an id that is made and stored first; its answer. Raises as `post_command`.

    The id is sent as the body's member `id_member`, else as the Idempotency-Key. It is removed with a 2xx, or with a
    refusal where no try with it, of this or an earlier call, is without a certain answer.
    """
    digest = _digest([path, body])
    with _stored(directory) as pending:
        if digest not in pending and _digest(body) in pending:
            digest = _digest(body)
        sent_before = digest in pending  # and has got no certain answer, else it would be gone
        mine = pending.setdefault(digest, PendingCommand(IdFactory()(SystemClock().now()), time.time())).made
    try:
        if id_member is None:
            answer = post_command(client, path, body, key=mine)
        else:
            answer = post_command(client, path, {**body, id_member: mine})
    except RemoteProblem as problem:
        if sent_before:
            problem.may_be_recorded = problem.recorded != Recorded.YES
        if not problem.may_be_recorded:
            with suppress(CommandRefused):  # the refusal is told; nothing was recorded under the id that stays
                _forget(directory, digest)
        raise
    try:
        _forget(directory, digest)
    except CommandRefused as refused:
        raise CommandRefused(
            f"it was recorded, but its id cannot be removed: {refused}",
            "Make room on the disk, then give the very same command once more: it records nothing new, and removes it.",
            code=refused.code,
        ) from refused
    return answer


def state_folder(url: str) -> Path:
    """Where commands to a service elsewhere are stored, which has no --dir here: one folder of the user for an address.

    Made where it is missing. Raises CommandRefused where that fails.
    """
    folder = user_state_path("larder") / sha256(url.rstrip("/").encode()).hexdigest()[:16]
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise CommandRefused(
            f"{folder} cannot be made, so the command's id would be lost with its answer ({error})",
            "Name a folder that can be written with XDG_STATE_HOME, or give the command an id with --transfer-id.",
        ) from error
    return folder


def _digest(content: Any) -> str:
    return sha256(msgspec.json.encode(content, order="sorted")).hexdigest()


def _forget(directory: Path, digest: str) -> None:
    with _stored(directory) as pending:
        pending.pop(digest, None)


def _read(path: Path) -> dict[str, PendingCommand]:
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise _unreadable(path, error) from error
    try:
        return msgspec.json.decode(content, type=dict[str, PendingCommand])
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        return _read_each(path, content, error)


def _read_each(path: Path, content: bytes, error: Exception) -> dict[str, PendingCommand]:
    """The entries of a file that holds some of the former form; they keep their digest."""
    found: dict[str, PendingCommand] = {}
    try:
        for digest, entry in msgspec.json.decode(content, type=dict[str, msgspec.Raw]).items():
            try:
                found[digest] = msgspec.json.decode(entry, type=PendingCommand)
            except msgspec.ValidationError:
                former = msgspec.json.decode(entry, type=_PendingTransfer)
                found[digest] = PendingCommand(former.transfer_id, former.since)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise _unreadable(path, error) from error
    return found


def _unreadable(path: Path, error: Exception) -> CommandRefused:
    return CommandRefused(
        f"{path} cannot be read, so it is not known whether this command was sent before ({error})",
        "The file holds the ids of commands that got no answer. See whether what you recorded last is there, "
        "move the file away, then give the command again.",
    )


@contextmanager
def _stored(directory: Path) -> Iterator[dict[str, PendingCommand]]:
    """The stored commands by digest, to be changed in place; the file is replaced as a whole, under a lock.

    Raises CommandRefused where the file cannot be read: a command in it would be recorded twice if it were overwritten.
    """
    path = directory / FILE_NAME
    with _written(path), (directory / f"{FILE_NAME}.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        found = _read(path)
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


@contextmanager
def _written(path: Path) -> Iterator[None]:
    """Say in words that the file cannot be written. Raises CommandRefused."""
    try:
        yield
    except OSError as error:
        raise CommandRefused(
            f"{path} cannot be written, so the command's id would be lost with its answer ({error.strerror})",
            "Make room on the disk, or have the folder writable; then give the command again.",
            code="disk-full" if error.errno in {errno.ENOSPC, errno.EDQUOT} else "refused",
        ) from error
