"""The parser of import maps: a small TOML file with the meaning of the columns of a till's CSV.

Pure: from text to an ImportMap, or a MapError that names the line and the key. `import_map_example.toml`, which the
command prints with --example-map, documents every key.
"""

from __future__ import annotations

import re
import tomllib
from decimal import Decimal
from typing import Any, Final, TypeVar

import msgspec

from branch_node.imports.mapping.import_map import (
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
from branch_node.imports.mapping.map_validation import check_map

MAX_MAP_BYTES: Final = 256 * 1024


class MapError(ValueError):
    """An invalid map. The text is one line for a person: file, line, key, why."""


def parse_map(raw: bytes, name: str) -> ImportMap:
    """The map in `raw`, a TOML file called `name`. Raises MapError."""
    if len(raw) > MAX_MAP_BYTES:
        raise MapError(f"{name}: has {len(raw)} bytes, at most {MAX_MAP_BYTES} are read")
    try:
        text = raw.decode("utf-8-sig")
        document = tomllib.loads(text, parse_float=Decimal)
    except UnicodeDecodeError as error:
        raise MapError(f"{name}: byte {error.start} is not UTF-8") from error
    except tomllib.TOMLDecodeError as error:
        raise MapError(f"{name}: {error}") from error
    try:
        found = _decode(document)
        check_map(found)
    except MapFault as fault:
        raise MapError(f"{name}{_line(text, fault.path)}, {_dotted(fault.path)}: {fault.why}") from fault
    return found


T = TypeVar("T")


def _decode(raw: dict[str, Any]) -> ImportMap:
    # Tables with free keys are converted one by one, so that an error is reported with the key.
    flat = {key: value for key, value in raw.items() if key not in ("where", "rules", "lookup")}
    top = _convert(flat, ImportMap, ())
    where = _conditions(_a_table(raw.get("where", {}), ("where",)), ("where",))
    rules = [_rule(rule, ("rules", index)) for index, rule in enumerate(_a_list(raw.get("rules", []), ("rules",)))]
    lookup = {
        name: _convert(value, Lookup, ("lookup", name))
        for name, value in _a_table(raw.get("lookup", {}), ("lookup",)).items()
    }
    return msgspec.structs.replace(top, where=where, rules=rules, lookup=lookup)


def _rule(raw: object, path: Path) -> Rule:
    table = _a_table(raw, path)
    when = _conditions(_a_table(table.get("when", {}), (*path, "when")), (*path, "when"))
    rule = _convert({**table, "when": {}}, Rule, path)
    return msgspec.structs.replace(rule, when=when)


def _conditions(table: dict[str, Any], path: Path) -> dict[str, Condition]:
    """`column = "text"` and `column = ["one", "two"]` are short for `column = {equals = ...}`."""
    return {
        column: _convert({"equals": raw} if isinstance(raw, str | list) else raw, Condition, (*path, column))
        for column, raw in table.items()
    }


def _a_table(raw: object, path: Path) -> dict[str, Any]:
    if not isinstance(raw, dict):
        raise MapFault(path, "must be a table")
    return raw


def _a_list(raw: object, path: Path) -> list[Any]:
    if not isinstance(raw, list):
        raise MapFault(path, f"must be a list of tables, written [[{path[-1]}]]")
    return raw


_AT = re.compile(r"(?P<what>.*?)(?: - at `\$(?P<path>.*)`)?", re.DOTALL)
_PART = re.compile(r"\.(\w+)|\[(\d+)\]")
_UNKNOWN = re.compile(r"Object contains unknown field `(.*)`", re.DOTALL)
_MISSING = re.compile(r"Object missing required field `(.*)`", re.DOTALL)


def _convert(raw: Any, kind: type[T], path: Path) -> T:
    try:
        return msgspec.convert(raw, kind, strict=True, builtin_types=(Decimal,))
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
    dotted = ""
    for part in path:
        dotted += f"[{part + 1}]" if isinstance(part, int) else f".{part}" if dotted else part
    return dotted or "the map"


_HEADING = re.compile(r"\s*(\[\[?)\s*([^\[\]]+?)\s*\]\]?\s*(?:#.*)?")
_KEY = re.compile(r"""\s*((?:[\w-]+|"[^"]*"|'[^']*')(?:\s*\.\s*(?:[\w-]+|"[^"]*"|'[^']*'))*)\s*=""")
_WORD = re.compile(r"""[\w-]+|"[^"]*"|'[^']*'""")


def _line(text: str, path: Path) -> str:
    """` line N` of the deepest key of `path` that has a line of its own; empty where none has."""
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
