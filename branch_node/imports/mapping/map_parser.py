"""Parsing of an import map: TOML, strictly. An error names the file, the line, the key, and what is allowed."""

from __future__ import annotations

import re
import tomllib
from decimal import Decimal
from typing import Any, Final, TypeVar

import msgspec

from branch_node.imports.mapping.import_map import Condition, Factors, ImportMap, Lookup, MapFault, Path, Rule
from branch_node.imports.mapping.map_lines import dotted, line_of_key
from branch_node.imports.mapping.map_validation import check_map
from branch_node.imports.mapping.map_words import (
    allowed_values,
    annotation_at,
    expected,
    expected_beside_words,
    keys_of,
    listed,
    nearest,
    received,
)
from shared.runtime.clock import format_rfc3339

MAX_MAP_BYTES: Final = 256 * 1024
MAX_KEY_PARTS: Final = 20

# The parser of TOML keeps every beginning of a dotted key: time and memory grow with the square of its parts.
_PART_OF_KEY: Final = r"""(?:[\w-]++|"[^"\n]*+"|'[^'\n]*+')"""
_LONG_KEY: Final = re.compile(rf"(?<![\w-])(?:{_PART_OF_KEY}[ \t]*+\.[ \t]*+){{{MAX_KEY_PARTS}}}{_PART_OF_KEY}")


class MapError(ValueError):
    """An invalid map. The text is one line for a person: file, line, key, why."""


def parse_map(raw: bytes, name: str, *, at: int | None = None) -> ImportMap:
    """The map in `raw`, a TOML file called `name`. Raises MapError.

    `at`: the moment of all rows (microseconds UTC), for a map that says no times.
    """
    if len(raw) > MAX_MAP_BYTES:
        raise MapError(f"{name}: has {len(raw)} bytes, at most {MAX_MAP_BYTES} are read")
    try:
        text = raw.decode("utf-8-sig")
        if _LONG_KEY.search(text):
            raise MapError(f"{name}: has a key of more than {MAX_KEY_PARTS} parts, as in a.b.c")
        document = tomllib.loads(text, parse_float=Decimal)
    except UnicodeDecodeError as error:
        raise MapError(f"{name}: byte {error.start} is not UTF-8") from error
    except tomllib.TOMLDecodeError as error:
        hint = "; texts stand in quotes" if str(error).startswith("Invalid value") else ""
        raise MapError(f"{name}: {error}{hint}") from error
    except RecursionError as error:
        raise MapError(f"{name}: its lists or tables stand too deep inside each other") from error
    except MapError:
        raise
    except ValueError as error:
        # So Python refuses to read thousands of digits.
        raise MapError(f"{name}: has a number of too many digits") from error
    try:
        _check_numbers(document)
        found = _decode(document)
        if at is not None:
            found = _at(found, at)
        check_map(found)
    except MapFault as fault:
        raise MapError(f"{name}{line_of_key(text, fault.path)}, {dotted(fault.path)}: {fault.why}") from fault
    return found


def _check_numbers(document: dict[str, Any]) -> None:
    """Raises MapFault for what TOML calls a number and nothing can be compared with."""
    waiting: list[tuple[Path, object]] = [((), document)]
    while waiting:
        path, value = waiting.pop()
        if isinstance(value, dict):
            waiting += [((*path, key), each) for key, each in value.items()]
        elif isinstance(value, list):
            waiting += [((*path, index), each) for index, each in enumerate(value)]
        elif isinstance(value, Decimal) and not value.is_finite():
            raise MapFault(path, f"must be a number with an end, not {value}")


def _at(found: ImportMap, at: int) -> ImportMap:
    for table in ("columns", "constants"):
        for key in ("occurred_at", "date", "time"):
            if getattr(getattr(found, table), key) is not None:
                raise MapFault((table, key), "says when rows happened: leave out --at, for files without times")
    constants = msgspec.structs.replace(found.constants, occurred_at=format_rfc3339(at))
    return msgspec.structs.replace(found, constants=constants)


T = TypeVar("T")
# Tables with free keys are converted one by one, so that an error is reported with the key.
_FREE: Final = ("where", "rules", "lookup", "units", "item_units", "currencies")


def _decode(raw: dict[str, Any]) -> ImportMap:
    top = _convert({key: value for key, value in raw.items() if key not in _FREE}, ImportMap, ())
    rules = [_rule(rule, ("rules", index)) for index, rule in enumerate(_a_list(raw.get("rules", []), ("rules",)))]
    return msgspec.structs.replace(
        top,
        where=_conditions(_a_table(raw.get("where", {}), ("where",)), ("where",)),
        rules=rules,
        lookup=_each(raw, "lookup", Lookup),
        units=_factors(raw, "units"),
        item_units=_factors(raw, "item_units"),
        currencies=_each(raw, "currencies", str),
    )


def _each(raw: dict[str, Any], key: str, kind: type[T]) -> dict[str, T]:
    """A table with free keys, each of whose values is of one type."""
    return {name: _convert(value, kind, (key, name)) for name, value in _a_table(raw.get(key, {}), (key,)).items()}


def _factors(raw: dict[str, Any], key: str) -> dict[str, Factors]:
    """`units` or `item_units`: a table of tables of numbers."""
    return {
        name: {
            unit: _convert(factor, int | Decimal, (key, name, unit))  # type: ignore[arg-type]
            for unit, factor in _a_table(table, (key, name)).items()
        }
        for name, table in _a_table(raw.get(key, {}), (key,)).items()
    }


def _rule(raw: object, path: Path) -> Rule:
    table = _a_table(raw, path)
    when = _conditions(_a_table(table.get("when", {}), (*path, "when")), (*path, "when"))
    rule = _convert({**table, "when": {}}, Rule, path)
    return msgspec.structs.replace(rule, when=when)


def _conditions(table: dict[str, Any], path: Path) -> dict[str, Condition]:
    """`column = "text"` and `column = ["one", "two"]` are short for `column = {equals = ...}`."""
    read: dict[str, Condition] = {}
    for column, raw in table.items():
        found: Any = _convert(raw, str | list[str] | Condition, (*path, column))  # type: ignore[arg-type]
        read[column] = found if isinstance(found, Condition) else Condition(equals=found)
    return read


def _a_table(raw: object, path: Path) -> dict[str, Any]:
    if not isinstance(raw, dict):
        raise MapFault(path, f"must be a table, written [{dotted(path)}]")
    return raw


def _a_list(raw: object, path: Path) -> list[Any]:
    if not isinstance(raw, list):
        raise MapFault(path, f"must be a list of tables, written [[{path[-1]}]]")
    return raw


_AT: Final = re.compile(r"(?P<what>.*?)(?: - at `\$(?P<path>.*)`)?", re.DOTALL)
_PART: Final = re.compile(r"\.(\w+)|\[(\d+)\]")
_UNKNOWN: Final = re.compile(r"Object contains unknown field `(.*)`", re.DOTALL)
_MISSING: Final = re.compile(r"Object missing required field `(.*)`", re.DOTALL)
_NO_WORD: Final = re.compile(r"Invalid enum value '?(.*?)'?", re.DOTALL)
_NO_TYPE: Final = re.compile(r"Expected `.*`, got `(.*)`", re.DOTALL)


def _convert(raw: Any, kind: type[T], path: Path) -> T:
    try:
        return msgspec.convert(raw, kind, strict=True, builtin_types=(Decimal,))
    except msgspec.ValidationError as error:
        match = _AT.fullmatch(str(error))
        what, tail = (match["what"], match["path"] or "") if match else (str(error), "")
        inner = tuple(name or int(index) for name, index in _PART.findall(tail))
        place = annotation_at(kind, inner)
        if unknown := _UNKNOWN.fullmatch(what):
            keys = keys_of(place)
            why = f"no such key{nearest(unknown[1], keys)}; known are {listed(keys)}"
            raise MapFault((*path, *inner, unknown[1]), why) from error
        if missing := _MISSING.fullmatch(what):
            wanted = expected(annotation_at(place, (missing[1],)))
            raise MapFault((*path, *inner, missing[1]), f"is missing: {wanted}") from error
        raise MapFault((*path, *inner), _why(what, place)) from error


def _why(what: str, place: Any) -> str:
    """What is wrong with a value, and what is allowed."""
    if word := _NO_WORD.fullmatch(what):
        allowed = allowed_values(place)
        near, others = nearest(word[1], allowed), expected_beside_words(place)
        return f"{word[1][:40]!r} is not allowed here{near}; allowed are {listed([*allowed, *others])}"
    if other := _NO_TYPE.fullmatch(what):
        return f"must be {expected(place)}, not {received(other[1])}"
    return what
