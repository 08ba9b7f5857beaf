"""Every key of a map: a wrong type, a wrong word, a misspelt key are one line with file, line, key and what is allowed.

The keys are found in the structs themselves, so that a new key is tested as soon as it is there.
"""

from __future__ import annotations

import types
from collections.abc import Iterator
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import msgspec
import pytest

from branch_node.imports.mapping.import_map import ImportMap
from branch_node.imports.mapping.map_parser import MapError, parse_map
from shared.events import BY_HAND

BASE = 'source = "till-7"\n'
COLUMNS = '[columns]\nitem = "code"\nquantity = "qty"\noccurred_at = "at"\n'

Key = tuple[str, ...]
"""A key and the tables that it stands in; `*` is a key that the map's author chooses, `#` a place in a list."""


def parts(kind: Any) -> list[Any]:
    """What a value may be, without None."""
    origin = get_origin(kind)
    if origin is Annotated:
        return parts(get_args(kind)[0])
    if origin is Union or isinstance(kind, types.UnionType):
        return [each for part in get_args(kind) for each in parts(part)]
    return [] if kind is type(None) else [kind]


def is_table(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, msgspec.Struct)


def keys(kind: Any = ImportMap, above: Key = ()) -> Iterator[tuple[Key, Any]]:
    """Every key of a map with the type of its value, tables and lists among them."""
    for each in parts(kind):
        if is_table(each):
            for name, inner in get_type_hints(each, include_extras=True).items():
                yield (*above, name), inner
                yield from keys(inner, (*above, name))
        elif get_origin(each) is dict:
            inner = get_args(each)[1]
            yield (*above, "*"), inner
            yield from keys(inner, (*above, "*"))
        elif get_origin(each) is list and any(is_table(part) for part in parts(get_args(each)[0])):
            yield from keys(get_args(each)[0], (*above, "#"))


def words(kind: Any) -> list[str]:
    """The closed list of words that a value may be."""
    found: list[str] = []
    for each in parts(kind):
        if get_origin(each) is Literal:
            found += [str(word) for word in get_args(each)]
        elif isinstance(each, type) and issubclass(each, Enum):
            found += sorted(BY_HAND)
        elif get_origin(each) is list:
            found += words(get_args(each)[0])
    return list(dict.fromkeys(found))


def a_wrong_value(kind: Any) -> str:
    """A value, as TOML, of a type that is not allowed."""
    kinds = {get_origin(each) or each for each in parts(kind)}
    if bool not in kinds:
        return "true"
    return "7"


EVERY = list(dict(keys()).items())
# A condition may be a text or a list for short; a text is never wrong there.


def written(key: Key, value: str) -> tuple[str, int, str]:
    """A map with a value at a key; the line that it stands on, and how an error names the key."""
    named = "".join("[1]" if part == "#" else f".{'free' if part == '*' else part}" for part in key)[1:]
    names = ["free" if part == "*" else part for part in key]
    if key[0] == "rules" and len(key) > 1:
        inner = names[2:]
        other = "" if inner[0] == "when" else 'when = { a = "b" }\n'
        text, line = BASE + COLUMNS + "[[rules]]\n" + other + assigned(inner, value), 7 + bool(other)
    elif len(key) == 1:
        text, line = f"{names[0]} = {value}\n" + ("" if key[0] == "source" else BASE), 1
        text += "" if key[0] == "columns" else COLUMNS
    elif key[0] == "columns":
        text, line = BASE + "[columns]\n" + assigned(names[1:], value), 3
    else:
        text, line = BASE + COLUMNS + f"[{names[0]}]\n" + assigned(names[1:], value), 7
    return text, line, named


def assigned(names: list[str], value: str) -> str:
    """`a = { b = value }`"""
    for name in reversed(names[1:]):
        value = f"{{ {name} = {value} }}"
    return f"{names[0]} = {value}\n"


def fault(text: str) -> str:
    with pytest.raises(MapError) as refused:
        parse_map(text.encode(), "till.toml")
    said = str(refused.value)
    assert "\n" not in said
    return said


def test_every_table_is_among_the_keys() -> None:
    found = {key for key, _ in EVERY}
    assert len(found) > 90
    for key in (
        ("rules", "#", "when", "*", "below"), ("where", "*", "equals"), ("lookup", "*", "on"), ("id_scope", "column"),
        ("units", "*", "*"), ("bad_cells", "cost"), ("constants", "currency"), ("columns", "lot"),
        ("rules", "#", "type"),
    ):  # fmt: skip
        assert key in found


@pytest.mark.parametrize(("key", "kind"), EVERY, ids=[".".join(key) for key, _ in EVERY])
def test_a_value_of_a_wrong_type(key: Key, kind: Any) -> None:
    text, line, named = written(key, a_wrong_value(kind))
    said = fault(text)
    assert said.startswith(f"till.toml line {line}, {named}: must be "), said
    for each in parts(kind):
        origin = get_origin(each) or each
        if origin in (str, int, Decimal, bool):
            what = {str: "a text in quotes", bool: "true or false"}.get(origin, "a number")
            assert what in said, said
        elif origin is list:
            assert "a list" in said, said
        elif origin is dict or is_table(each):
            assert "a table" in said, said
    for word in words(kind):
        assert word in said, said


WORDS = [(key, kind) for key, kind in EVERY if words(kind)]


@pytest.mark.parametrize(("key", "kind"), WORDS, ids=[".".join(key) for key, _ in WORDS])
def test_a_word_that_is_not_allowed(key: Key, kind: Any) -> None:
    allowed = words(kind)
    for word in allowed:
        text, line, named = written(key, f'"{word[:-2]}{word[-1]}"')
        if len(word) < 3:  # a sign, such as a comma
            text, line, named = written(key, '"comma"')
        said = fault(text)
        assert said.startswith(f"till.toml line {line}, {named}: "), said
        assert " is not allowed here" in said
        if len(word) > 3:
            assert f"; the nearest is {word};" in said
        for each in allowed:
            assert each in said.partition("allowed are ")[2], said
        others = [each for each in parts(kind) if each is int or is_table(each)]
        for each in others:
            assert ("a number" if each is int else "a table") in said, said


NAMED = [(key, kind) for key, kind in EVERY if key[-1] != "*"]


@pytest.mark.parametrize(("key", "kind"), NAMED, ids=[".".join(key) for key, _ in NAMED])
def test_a_misspelt_key(key: Key, kind: Any) -> None:
    misspelt = (*key[:-1], f"{key[-1]}{key[-1][-1]}")
    text, line, named = written(misspelt, "7")
    said = fault(text)
    assert said.startswith(f"till.toml line {line}, {named}: no such key; the nearest is {key[-1]}; known are "), said
    beside = {other[-1] for other, _ in EVERY if other[:-1] == key[:-1]}
    known = said.partition("known are ")[2].split(", ")
    assert set(known) == beside


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('[constants]\ndate = 2026-01-31\n', "constants.date: must be a text in quotes, not a date without quotes"),
        ('[constants]\ntime = 12:00:00\n', "constants.time: must be a text in quotes, not a time without quotes"),
        ('[lookup.orders]\nfile = "o.csv"\nkey = "id"\n', "lookup.orders.on: is missing: a text in quotes"),
        ("[where]\nstore = 3\n", "where.store: must be a text in quotes or a list of texts or a table with above,"),
        ("[where]\nstore = [3]\n", "where.store[1]: must be a text in quotes, not a number"),
        ('[formats]\noccurred_at = "DD.MM.YYYY"\n', "no date and no time of day; the nearest is %d.%m.%Y"),
        ('[formats]\noccurred_at = "d/m/yy hh:mm:ss"\n', "; the nearest is %d/%m/%y %H:%M:%S"),
        ('[formats]\noccurred_at = "yyyy-MM-ddTHH:mm"\n', "; the nearest is %Y-%m-%dT%H:%M"),
        ('[formats]\noccurred_at = "dd-MMM-yyyy hh:mm"\n', "; the nearest is %d-%b-%Y %H:%M"),
        ('[formats]\noccurred_at = "rfc3339"\n', "; known are %Y %y %m"),
        ("[where]\nstore = Astoria\n", "till.toml: Invalid value (at line 7, column 9); texts stand in quotes"),
        ("[columns]\nitem = 7", "columns.item: must be a text in quotes, not a number"),
    ],
)  # fmt: skip
def test_what_is_often_forgotten(text: str, why: str) -> None:
    assert why in fault(BASE + ("" if text.startswith("[columns]") else COLUMNS) + text)


@pytest.mark.parametrize("zone", ["Beirut", "beirut", "Asia/Beiruth", "asia/beirut"])
def test_the_nearest_time_zone(zone: str) -> None:
    said = fault(f'time_zone = "{zone}"\ntype = "ADJUSTMENT"\n' + BASE + COLUMNS + '[constants]\nreason = "found"\n')
    assert said.startswith("till.toml line 1, time_zone: ")
    assert "; the nearest is Asia/Beirut" in said


@pytest.mark.parametrize(("locale", "near"), [("french", "fr"), ("Türkisch", "tr"), ("turkish", "tr"), ("e n", "en")])
def test_the_nearest_language(locale: str, near: str) -> None:
    said = fault(f'locale = "{locale}"\ntype = "ORDER_DEDUCTION"\n' + BASE + COLUMNS)
    assert said.startswith("till.toml line 1, locale: ")
    assert f"; the nearest is {near}" in said
