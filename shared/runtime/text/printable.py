"""Text of others as it may be shown: nothing in it can move a terminal's cursor, change its colours or its order."""

from __future__ import annotations

import re
from typing import Final

# Controls but line feed and tab, marks that change the order of what is read, and lone surrogates, which no output
# can encode.
_UNSAFE: Final = re.compile("[\0-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_ESCAPED_BYTES: Final = range(0xDC80, 0xDD00)


def printable(text: str) -> str:
    r"""`text` with every unsafe character as its escape, such as `\x1b`. Line feeds and tabs stay."""
    return text if text.isprintable() else _UNSAFE.sub(_escape, text)


def printable_line(text: str) -> str:
    r"""As `printable`, and on one line: line feeds and tabs are escaped too."""
    return printable(text).replace("\n", r"\n").replace("\t", r"\t")


def printable_json(document: str) -> str:
    r"""A JSON document with the unsafe characters of its texts as `\uXXXX`, which JSON reads as the same text."""
    return document if document.isprintable() else _UNSAFE.sub(lambda match: f"\\u{ord(match[0]):04x}", document)


def _escape(match: re.Match[str]) -> str:
    code = ord(match[0])
    if code in _ESCAPED_BYTES:
        # The byte that could not be decoded.
        code -= 0xDC00
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
