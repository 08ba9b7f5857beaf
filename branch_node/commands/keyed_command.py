"""The base of commands under an idempotency key, with the digest of their content."""

from __future__ import annotations

from hashlib import sha256
from typing import Final

import msgspec

from branch_node.model import Command

_encode: Final = msgspec.json.Encoder().encode


class KeyedCommand(Command):
    """Base of the commands of people and tills: a key, an actor, and the content that the key stands for.

    The digest (SHA-256, hex) is of the kind and the canonical content: it must be the same under the same key.
    """

    kind: str

    def __init__(self, content: msgspec.Struct, *, key: str, actor: str) -> None:
        self.key = key
        self.actor = actor
        encoded = _encode(content)
        self.content_bytes = len(encoded)
        self.digest = sha256(self.kind.encode("ascii") + encoded).hexdigest()
