"""The answers of commands that had an effect without an event, as one transaction of the writer has them."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, delete, insert

from branch_node.database.lookups import kept_answers
from branch_node.database.schema import KEPT_ANSWER
from branch_node.model import Command
from branch_node.problems import KEY_REUSED


class KeptAnswers:
    """Valid for one transaction. `any_kept`: whether any is kept; else nothing is looked up."""

    def __init__(self, connection: Connection, *, any_kept: bool) -> None:
        self._connection = connection
        self._kept: dict[str, tuple[str, bytes]] = {}
        self.any_kept = any_kept

    def preload(self, keys: Sequence[str]) -> None:
        """Read those under these keys."""
        if self.any_kept:
            self._kept = kept_answers(self._connection, keys)

    def of(self, command: Command) -> bytes | None:
        """The answer that is kept under a command's key. Raises 409 `key-reused` where it is of other content."""
        kept = None if command.key is None else self._kept.get(command.key)
        if kept is None:
            return None
        if kept[0] != command.digest:
            raise KEY_REUSED(f"the key {command.key!r} was used for something else", hint=command.reused_hint)
        return kept[1]

    def keep(self, command: Command, answer: bytes) -> None:
        """Keep an answer under a command's key."""
        if command.key is None or command.digest is None:
            raise ValueError("an answer is kept under a key")
        row = (command.key, command.digest, answer)
        self._connection.execute(insert(KEPT_ANSWER), dict(zip(KEPT_ANSWER.columns.keys(), row, strict=True)))
        self._kept[command.key] = row[1:]
        self.any_kept = True

    def forget(self, prefix: str) -> None:
        """Forget the answers whose keys begin so."""
        key = KEPT_ANSWER.c.command_key
        self._connection.execute(delete(KEPT_ANSWER).where(key.startswith(prefix, autoescape=True)))
        self._kept = {key: found for key, found in self._kept.items() if not key.startswith(prefix)}
