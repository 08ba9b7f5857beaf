"""Commands under an idempotency key: the digest of their content, and their base class."""

from __future__ import annotations

from hashlib import sha256

import msgspec

from branch_node.model import Command


def digest_of(kind: str, content: msgspec.Struct) -> str:
    """SHA-256, hex, of a command's kind and canonical content; it must be the same under the same key."""
    return sha256(kind.encode("ascii") + msgspec.json.encode(content)).hexdigest()


class KeyedCommand(Command):
    """Base of the commands of people and tills: a key, an actor, and the content that the key stands for."""

    kind: str

    def __init__(self, content: msgspec.Struct, *, key: str, actor: str) -> None:
        self.key = key
        self.actor = actor
        self.digest = digest_of(self.kind, content)
