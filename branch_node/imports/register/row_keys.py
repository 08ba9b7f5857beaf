"""Idempotency keys of imported rows: by the row's own id within its scope, or by its line in a file known by its bytes.

A key is `import/SOURCE//`, after an undo `uN/` for the source's N-th, then the row's identity. The name of a file is in
no key but those of versions before: `import/SOURCE/NAME/ID` and `import/SOURCE/NAME/#LINE`.
"""

from __future__ import annotations

import re
from functools import lru_cache
from hashlib import sha256
from typing import Final
from urllib.parse import quote

import msgspec

PART: Final = 72
"""The most characters of a row's id in a key, which has at most 200."""

SCOPE_PART: Final = 48

_PLAIN: Final = re.compile(r"[ -$&-}]+")
_KEPT: Final = "".join(chr(code) for code in range(0x20, 0x7E) if chr(code) != "%")
_BY_NAME: Final = "name:"
_COLON: Final = "%3A"  # key_part never makes it: it leaves colons, and encodes each percent sign


def key_part(text: str, longest: int = PART) -> str:
    """A text as part of a key (short, ASCII): as it is, else percent-encoded, else `~` and its SHA-256."""
    if len(text) <= longest and _PLAIN.fullmatch(text):
        return text
    quoted = quote(text, safe=_KEPT).replace("~", "%7E")
    return quoted if len(quoted) <= longest else "~" + sha256(text.encode()).hexdigest()[: longest - 1]


def item_key(source: str, item_id: str) -> str:
    """The key under which an import from `source` defines an item."""
    return f"import-item/{source}/{key_part(item_id)}"


def lineage_of(size: int, sha256_hex: str) -> str:
    """What a file that is known by its bytes is called in keys; the files that continue it are called like it."""
    return f"file:{size}-{sha256_hex[:16]}"


def lineage_by_name(file: str) -> str:
    """The lineage of a file that an older version knew by its name."""
    return _BY_NAME + _no_colon(key_part(file))


class RowKeys(msgspec.Struct, frozen=True, kw_only=True):
    """The keys of the rows of one import.

    `scope` is the map's `id_scope` with ids, None without; `generation` is the number of undone imports of the source.
    """

    source: str
    generation: int
    scope: str | None
    lineage: str

    @property
    def prefix(self) -> str:
        return _prefix(self.source, self.generation)

    def identity(self, line: int, own_id: str | None, scope_value: str) -> str:
        """What makes a row this row: its id within its scope, else its line."""
        if own_id is None:
            # The # keeps a line number apart from a row's own id.
            return f"{self.lineage}:#{line}"
        part = key_part(own_id)
        if self.scope == "source":
            return f"id:{part}"
        if self.scope == "file":
            return f"{self.lineage}:{part}"
        value = _no_colon(key_part(scope_value, SCOPE_PART))
        return f"{'day' if self.scope == 'day' else 'of'}:{value}:{part}"

    def count_identity(self, occurred_at: int, line: int, piece: int) -> str:
        """The identity of a count: of its moment, and without ids of its first line too, as more may follow it."""
        place = (
            f"count:{occurred_at}" if self.scope not in (None, "file") else f"{self.lineage}:count:{occurred_at}:{line}"
        )
        return place if piece == 0 else f"{place}:{piece}"

    def key(self, identity: str) -> str:
        """The key under which a row is recorded now."""
        return key_of(self.source, identity, self.generation)

    def every_key(self, key: str) -> list[str]:
        """The keys that a row's identity has had, from the first generation to that of `key`, which is the last."""
        identity = self.identity_of(key)
        return [key_of(self.source, identity, generation) for generation in range(self.generation + 1)]

    def moved(self, key: str, lineage: str) -> str:
        """The key of the same row in another file."""
        row = self.identity_of(key).removeprefix(f"{self.lineage}:")
        return key_of(self.source, f"{lineage}:{row}", self.generation)

    def row_id(self, key: str) -> str:
        """The row's own id in a key of this import, as part of a key."""
        identity = self.identity_of(key)
        return identity.split(":", 1 if identity.startswith("id:") else 2)[-1]

    def identity_of(self, key: str) -> str:
        """The identity in a key of this import."""
        if key.startswith(self.prefix):
            return key.removeprefix(self.prefix)
        file, _, row = key.removeprefix(key_beginning(self.source)).partition("/")
        return f"{_BY_NAME}{_no_colon(file)}:{row}"


@lru_cache(maxsize=64)
def _prefix(source: str, generation: int) -> str:
    return f"{key_beginning(source)}/" + (f"u{generation}/" if generation else "")


def key_beginning(source: str) -> str:
    """What the keys of all rows of a source begin with, and those of no other."""
    return f"import/{source}/"


def key_of(source: str, identity: str, generation: int) -> str:
    """The key of an identity in a generation of its source."""
    if generation == 0 and identity.startswith(_BY_NAME):
        file, _, row = identity.removeprefix(_BY_NAME).partition(":")
        return f"{key_beginning(source)}{file.replace(_COLON, ':')}/{row}"
    return _prefix(source, generation) + identity


def accepted_key(key: str, digest: str) -> str:
    """The key of a row whose id recorded other content, and that was said to be an event of its own."""
    return f"{key}={digest[:16]}"


def _no_colon(part: str) -> str:
    return part.replace(":", _COLON)
