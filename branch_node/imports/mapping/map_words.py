"""Words of the map's faults: what was probably meant, and what is allowed. Pure."""

from __future__ import annotations

import types
from collections.abc import Iterable
from enum import Enum
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin, get_type_hints

import msgspec

from shared.events import BY_HAND, EventType
from shared.runtime.text.nearest_codes import Candidate, nearest_codes

_MOST_SHOWN: Final = 40


def nearest(given: str, known: Iterable[str]) -> str:
    """`; the nearest is X`, or nothing where none is near."""
    found = nearest_codes(given, (Candidate(each) for each in known))
    return f"; the nearest is {found[0]}" if found else ""


def listed(names: Iterable[str]) -> str:
    """The names with commas; of very many only the first."""
    every = list(names)
    more = f" and {len(every) - _MOST_SHOWN} more" if len(every) > _MOST_SHOWN else ""
    return ", ".join(every[:_MOST_SHOWN]) + more


def annotation_at(kind: Any, path: Iterable[str | int]) -> Any:
    """The type of the value at a path below a struct; None where there is no such place."""
    for part in path:
        kind = next((_inside(each, part) for each in _parts(kind) if _inside(each, part) is not None), None)
        if kind is None:
            return None
    return kind


def keys_of(kind: Any) -> list[str]:
    """The keys of a table."""
    for each in _parts(kind):
        if isinstance(each, type) and issubclass(each, msgspec.Struct):
            return sorted(field.name for field in msgspec.structs.fields(each))
    return []


def allowed_values(kind: Any) -> list[str]:
    """The words of a closed list; empty where the type is none."""
    found: list[str] = []
    for each in _parts(kind):
        if get_origin(each) is Literal:
            found += [str(word) for word in get_args(each)]
        elif each is EventType:
            found += sorted(BY_HAND)
        elif isinstance(each, type) and issubclass(each, Enum):
            found += [str(word.value) for word in each]
        elif get_origin(each) is list:
            found += allowed_values(get_args(each)[0])
    return list(dict.fromkeys(found))


_EXPECTED: Final = {str: "a text in quotes", bool: "true or false", int: "a number", list: "a list", dict: "a table"}
_GOT: Final = {
    "str": "a text", "int": "a number", "float": "a number", "decimal": "a number", "bool": "true or false",
    "array": "a list", "object": "a table", "date": "a date without quotes", "time": "a time without quotes",
    "datetime": "a time without quotes",
}  # fmt: skip


def expected(kind: Any) -> str:
    """What a value of this type looks like in a map."""
    words: list[str] = []
    for each in _parts(kind):
        if allowed := ([] if get_origin(each) is list else allowed_values(each)):
            words.append("one of " + ", ".join(allowed))
        else:
            words += _expected_type(each)
    return " or ".join(dict.fromkeys(words)) or "something else"


def expected_beside_words(kind: Any) -> list[str]:
    """What a value may be that is none of the words of a closed list, such as a number."""
    words = [word for each in _parts(kind) if not allowed_values(each) for word in _expected_type(each)]
    return list(dict.fromkeys(words))


def _expected_type(kind: Any) -> list[str]:
    origin = get_origin(kind) or kind
    if origin is list:
        return ["a list of texts" if str in get_args(kind) else "a list"]
    if origin in _EXPECTED:
        return [_EXPECTED[origin]]
    if isinstance(origin, type) and issubclass(origin, msgspec.Struct):
        return [f"a table with {listed(keys_of(origin))}"]
    return []


def received(word: str) -> str:
    """What msgspec found, in words."""
    return _GOT.get(word, word)


def _parts(kind: Any) -> list[Any]:
    origin = get_origin(kind)
    if origin is Annotated:
        return _parts(get_args(kind)[0])
    if origin is Union or isinstance(kind, types.UnionType):
        return [each for part in get_args(kind) for each in _parts(part) if each is not type(None)]
    return [] if kind is None or kind is type(None) else [kind]


def _inside(kind: Any, part: str | int) -> Any:
    origin = get_origin(kind)
    if origin is list and isinstance(part, int):
        return get_args(kind)[0]
    if origin is dict and isinstance(part, str):
        return get_args(kind)[1]
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct) and isinstance(part, str):
        return get_type_hints(kind, include_extras=True).get(part)
    return None
