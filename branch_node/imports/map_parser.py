"""The map of an import: a small TOML file that says what the columns of a till's CSV mean.

Pure: text in, an ImportMap out, or a MapError that names the line and the key. What a map may say is all said in
`import_map_example.toml`, which the command prints with --example-map.
"""

from __future__ import annotations

import re
import tomllib
from decimal import Decimal
from typing import Any, Final, TypeVar

import msgspec

from branch_node.imports.import_map import (
    Columns,
    Condition,
    Constants,
    Formats,
    ImportMap,
    Lookup,
    MapFault,
    NewItems,
    Path,
    Rule,
)
from branch_node.imports.map_validation import check_map

MAX_MAP_BYTES: Final = 256 * 1024


class MapError(ValueError):
    """The map says something that cannot be. `text` is one line for a person: file, line, key, why."""


def parse_map(raw: bytes, name: str) -> ImportMap:
    """The map in `raw`, a TOML file called `name`. Raises MapError."""
    if len(raw) > MAX_MAP_BYTES:
        raise MapError(f"{name}: has {len(raw)} bytes, at most {MAX_MAP_BYTES} are read")
    try:
        text = raw.decode("utf-8-sig")
        said = tomllib.loads(text, parse_float=Decimal)
    except UnicodeDecodeError as error:
        raise MapError(f"{name}: byte {error.start} is not UTF-8") from error
    except tomllib.TOMLDecodeError as error:
        raise MapError(f"{name}: {error}") from error
    try:
        found = _decode(said)
        check_map(found)
    except MapFault as fault:
        raise MapError(f"{name}{_line(text, fault.path)}, {_dotted(fault.path)}: {fault.why}") from fault
    return found


T = TypeVar("T")


def _decode(said: dict[str, Any]) -> ImportMap:
    # Tables whose keys are the writer's own words are read one by one, so that a mistake is named by those words.
    flat = {key: value for key, value in said.items() if key not in ("where", "rules", "lookup")}
    top = _convert(flat, ImportMap, ())
    where = _conditions(_a_table(said.get("where", {}), ("where",)), ("where",))
    rules = [_rule(rule, ("rules", index)) for index, rule in enumerate(_a_list(said.get("rules", []), ("rules",)))]
    lookup = {
        name: _convert(value, Lookup, ("lookup", name))
        for name, value in _a_table(said.get("lookup", {}), ("lookup",)).items()
    }
    return msgspec.structs.replace(top, where=where, rules=rules, lookup=lookup)


def _rule(said: object, path: Path) -> Rule:
    table = _a_table(said, path)
    when = _conditions(_a_table(table.get("when", {}), (*path, "when")), (*path, "when"))
    rule = _convert({**table, "when": {}}, Rule, path)
    return msgspec.structs.replace(rule, when=when)


def _conditions(table: dict[str, Any], path: Path) -> dict[str, Condition]:
    """`column = "text"` and `column = ["one", "two"]` are short for `column = {equals = ...}`."""
    return {
        column: _convert({"equals": said} if isinstance(said, str | list) else said, Condition, (*path, column))
        for column, said in table.items()
    }


def _a_table(said: object, path: Path) -> dict[str, Any]:
    if not isinstance(said, dict):
        raise MapFault(path, "must be a table")
    return said


def _a_list(said: object, path: Path) -> list[Any]:
    if not isinstance(said, list):
        raise MapFault(path, f"must be a list of tables, written [[{path[-1]}]]")
    return said


_AT = re.compile(r"(?P<what>.*?)(?: - at `\$(?P<path>.*)`)?", re.DOTALL)
_PART = re.compile(r"\.(\w+)|\[(\d+)\]")
_UNKNOWN = re.compile(r"Object contains unknown field `(.*)`", re.DOTALL)
_MISSING = re.compile(r"Object missing required field `(.*)`", re.DOTALL)


def _convert(said: Any, kind: type[T], path: Path) -> T:
    try:
        return msgspec.convert(said, kind, strict=True, builtin_types=(Decimal,))
    except msgspec.ValidationError as error:
        match = _AT.fullmatch(str(error))
        what, tail = (match["what"], match["path"] or "") if match else (str(error), "")
        inner = tuple(name or int(index) for name, index in _PART.findall(tail))
        if unknown := _UNKNOWN.fullmatch(what):
            raise MapFault((*path, *inner, unknown[1]), f"no such key; known are {_known(kind, inner)}") from error
        if missing := _MISSING.fullmatch(what):
            raise MapFault((*path, *inner, missing[1]), "is missing") from error
        raise MapFault((*path, *inner), what) from error


def _known(kind: Any, path: Path) -> str:
    tables: dict[str | int, Any] = {
        "columns": Columns,
        "formats": Formats,
        "constants": Constants,
        "new_items": NewItems,
    }
    table = tables.get(path[0], kind) if path else kind
    return ", ".join(sorted(field.name for field in msgspec.structs.fields(table)))


def _dotted(path: Path) -> str:
    """`rules[2].when.Quantity`, counting from 1 as a person does."""
    said = ""
    for part in path:
        said += f"[{part + 1}]" if isinstance(part, int) else f".{part}" if said else part
    return said or "the map"


_HEADING = re.compile(r"\s*(\[\[?)\s*([^\[\]]+?)\s*\]\]?\s*(?:#.*)?")
_KEY = re.compile(r"""\s*((?:[\w-]+|"[^"]*"|'[^']*')(?:\s*\.\s*(?:[\w-]+|"[^"]*"|'[^']*'))*)\s*=""")
_WORD = re.compile(r"""[\w-]+|"[^"]*"|'[^']*'""")


def _line(text: str, path: Path) -> str:
    """` line N` of the deepest key of `path` that has a line of its own; nothing where none has."""
    table: Path = ()
    counted: dict[str, int] = {}
    best, depth = 0, 0
    for number, line in enumerate(text.splitlines(), 1):
        if heading := _HEADING.fullmatch(line):
            words = _words(heading[2])
            if heading[1] == "[[":
                counted[heading[2]] = counted.get(heading[2], -1) + 1
                words = (*words, counted[heading[2]])
            table, here = words, words
        elif key := _KEY.match(line):
            here = (*table, *_words(key[1]))
        else:
            continue
        if len(here) > depth and path[: len(here)] == here:
            best, depth = number, len(here)
    return f" line {best}" if best else ""


def _words(dotted: str) -> Path:
    return tuple(word.strip("\"'") for word in _WORD.findall(dotted))
