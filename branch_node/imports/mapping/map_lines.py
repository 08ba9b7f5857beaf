"""The line of a map on which a key stands, for messages. Pure."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator
from typing import Final

from branch_node.imports.mapping.import_map import Path

# Possessive: a line of blanks inside a long text must not be tried in every way that it can be parted.
_HEADING: Final = re.compile(r"\s*+(\[\[?)([^\[\]]++)\]\]?\s*+(?:#.*)?")
_KEY: Final = re.compile(r"""\s*((?:[\w-]+|"[^"]*"|'[^']*')(?:\s*\.\s*(?:[\w-]+|"[^"]*"|'[^']*'))*)\s*=""")
_WORD: Final = re.compile(r"""[\w-]+|"[^"]*"|'[^']*'""")


def dotted(path: Path) -> str:
    """`rules[2].when.Quantity`, counting from 1 as a person does."""
    text = ""
    for part in path:
        text += f"[{part + 1}]" if isinstance(part, int) else f".{part}" if text else part
    return text or "the map"


def line_of_key(text: str, path: Path) -> str:
    """` line N` of the deepest key of `path` that has a line of its own; empty where none has."""
    table: Path = ()
    counted: dict[str, int] = {}
    best, depth = 0, 0
    for number, line in enumerate(text.splitlines(), 1):
        if heading := _HEADING.fullmatch(line):
            name = heading[2].strip()
            words = _words(name)
            if heading[1] == "[[":
                counted[name] = counted.get(name, -1) + 1
                words = (*words, counted[name])
            table, here = words, words
        elif key := _KEY.match(line):
            here = (*table, *_words(key[1]))
        else:
            continue
        # Of a table that has no heading of its own, the first heading inside it.
        common = min(len(here), len(path))
        if common > depth and path[:common] == here[:common]:
            best, depth = number, common
    return f" line {best}" if best else ""


def line_of_dotted(text: str, key: str) -> str:
    """` line N` of a key as `dotted` writes it; empty where the map has no such key."""
    return next((line_of_key(text, path) for path in _paths(tomllib.loads(text)) if dotted(path) == key), "")


def _paths(value: object, above: Path = ()) -> Iterator[Path]:
    inside: Iterable[tuple[str | int, object]] = ()
    if isinstance(value, dict):
        inside = value.items()
    elif isinstance(value, list):
        inside = enumerate(value)
    for part, each in inside:
        yield (*above, part)
        yield from _paths(each, (*above, part))


def _words(name: str) -> Path:
    return tuple(word.strip("\"'") for word in _WORD.findall(name))
