"""The text of a map: TOML with comments, written line by line."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Final

_BARE: Final = re.compile(r"[A-Za-z0-9_-]+")
_WIDTH: Final = 30


def toml_text(text: str) -> str:
    """A text as TOML: in quotes, with escapes for all that acts on a terminal."""
    quoted = json.dumps(text, ensure_ascii=False)
    return "".join(each if each.isprintable() else _escape(each) for each in quoted)


def toml_key(text: str) -> str:
    """A key, in quotes where it needs them."""
    return text if _BARE.fullmatch(text) else toml_text(text)


def toml_value(value: str | int | Sequence[str]) -> str:
    if isinstance(value, int):
        return str(value)
    return toml_text(value) if isinstance(value, str) else f"[{', '.join(map(toml_text, value))}]"


def _escape(character: str) -> str:
    return f"\\u{ord(character):04x}" if ord(character) < 0x10000 else f"\\U{ord(character):08x}"


class MapText:
    """Keys of the top first, then tables in the order in which they are written."""

    def __init__(self) -> None:
        self._top: list[str] = []
        self._tables: list[str] = []
        self._open: str | None = None

    def text(self) -> str:
        return "\n".join([*self._top, *self._tables]) + "\n"

    def comment(self, text: str) -> None:
        (self._top if self._open is None else self._tables).append(f"# {text}")

    def blank(self) -> None:
        (self._top if self._open is None else self._tables).append("")

    def top(self, key: str, value: str | int | Sequence[str], comment: str = "") -> None:
        """A key of the map itself, whatever table was begun."""
        self._top.append(_with_comment(f"{key} = {toml_value(value)}", comment))

    def table(self, name: str) -> None:
        """Begin a table; `name` is TOML."""
        self._tables += ["", f"[{name}]"]
        self._open = name

    def entry(self, key: str, value: str | int | Sequence[str], comment: str = "") -> None:
        self._tables.append(_with_comment(f"{toml_key(key)} = {toml_value(value)}", comment))

    def raw(self, key: str, value: str) -> None:
        self._tables.append(f"{toml_key(key)} = {value}")

    def block(self, text: str) -> None:
        """A whole table."""
        self._tables += ["", text]
        self._open = text


def _with_comment(line: str, comment: str) -> str:
    return f"{line:<{_WIDTH}} # {comment}" if comment else line
