"""Strict JSON parsing: no value is dropped, rounded or guessed.

Rejected with 400 ``malformed-json``: a key given twice, NaN and infinities, lone surrogates, U+0000, numbers with an
exponent or of more than 40 digits, nesting deeper than ``max_depth``, invalid UTF-8, a byte order mark, anything after
the value. ``parse_json`` is the exact, slower reader; ``StrictDecoder`` reads hot routes' bodies into a Struct.

What msgspec 0.22 does, as found by experiment:

- By itself it rejects NaN, Infinity, a BOM, invalid UTF-8 in strings, lone surrogates, control characters, ``01``,
  trailing text, integers beyond 4,300 digits, a float or bool for an int field. ``1.0`` is no int. Nesting beyond
  Python's recursion limit is a RecursionError.
- It silently accepts the last of duplicate keys, and U+0000.
- ``decimal.Decimal`` fields take JSON numbers exactly (``1.10`` stays 1.10), but also ``1e400``, and strings as
  Python's Decimal reads them: ``"NaN"``, ``" 1"``, ``"1_0"``, Arabic digits. ``float`` rounds. So StrictDecoder
  accepts neither type: declare exact numbers as ``msgspec.Raw``, which keeps the text as it was sent at no cost, and
  read it with the domain's quantity parser.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Any, Final, Generic, NoReturn, TypeVar

import msgspec
from msgspec import inspect

from shared.runtime.http.body_faults import Fault, and_more, body_faults, other_faults
from shared.runtime.problems import BODY_TOO_LARGE, INVALID_REQUEST, MALFORMED_JSON, Problem, named_faults

MAX_DEPTH: Final = 32
MAX_NUMBER_LENGTH: Final = 40

_STRING = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)
_BRACKETS = re.compile(rb"[\[\]{}]")
_SURROGATE = re.compile("[\ud800-\udfff]")
_VALIDATION_PATH = re.compile(r"(?P<what>.*?) - at `(?P<path>.*)`", re.DOTALL)

T = TypeVar("T")


def parse_json(raw: bytes, *, max_bytes: int, max_depth: int = MAX_DEPTH) -> Any:
    """Any JSON value: dict, list, str, bool, None, int, or Decimal for a number with a point. Raises Problem."""
    _bound(raw, max_bytes)
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise MALFORMED_JSON(f"byte {error.start} is not UTF-8") from error
    if text.startswith("\ufeff"):
        raise MALFORMED_JSON("the body begins with a byte order mark")
    _check_depth(raw, max_depth)
    try:
        value = _EXACT.decode(text)
    except _StrictJSONError as error:
        raise MALFORMED_JSON(str(error)) from error
    except json.JSONDecodeError as error:
        raise MALFORMED_JSON(f"{error.msg} at character {error.pos}") from error
    if "\\u" in text:
        _check_characters(value)
    return value


class StrictDecoder(Generic[T]):
    """Decodes bodies into a msgspec Struct (or a list of them), as strict as ``parse_json``, at about msgspec's speed.

    A wrong type, a missing or an unknown field is 422 ``invalid-request`` with its path. The types may hold no
    ``float``, ``Decimal`` or ``Any``; every Struct has ``forbid_unknown_fields=True`` and every int has both bounds
    (``Annotated[int, msgspec.Meta(ge=1, le=1000)]``), as a database takes only 64 bits; else TypeError here. A ``Raw``
    field must be read by a parser that rejects objects (as the domain's quantity parser does): its content is not
    checked here.

    The fast way to find duplicate keys: encoding what was decoded gives each key and string once, so where the body
    has just as many quotes, nothing was given twice. It needs ``omit_defaults=True`` and no tag on every Struct. A
    body with a backslash or with a default spelled out (``"note": null``) is read by ``parse_json`` as well, as is
    every body of other Structs.
    """

    def __init__(self, target: type[T], *, max_bytes: int, max_depth: int = MAX_DEPTH) -> None:
        self._target = target
        self._decode = msgspec.json.Decoder(target, strict=True).decode
        self._max_bytes = max_bytes
        self._max_depth = max_depth
        self._countable = _countable(inspect.type_info(target), set())

    def __call__(self, raw: bytes) -> T:
        """The decoded body. Raises Problem 400 ``malformed-json``, 413 ``body-too-large``, 422 ``invalid-request``."""
        if len(raw) > self._max_bytes:
            _bound(raw, self._max_bytes)
        try:
            decoded = self._decode(raw)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            self._reject(raw, error)
        if not self._countable or b"\\" in raw or raw.count(b'"') != _ENCODE(decoded).count(b'"'):
            parse_json(raw, max_bytes=self._max_bytes, max_depth=self._max_depth)
        return decoded

    def _reject(self, raw: bytes, error: Exception) -> NoReturn:
        # The exact reader's error comes first: a body with a duplicate key and a wrong type is malformed.
        parse_json(raw, max_bytes=self._max_bytes, max_depth=self._max_depth)
        if isinstance(error, msgspec.ValidationError):
            raise validation_problem(error, raw, self._target) from error
        raise MALFORMED_JSON(str(error)) from error


class CheckedDecoder(StrictDecoder[T]):
    """A StrictDecoder that also refuses what the field rules of the body do, as 422 ``invalid-request``.

    It reads each body twice, so it is for routes that are called now and then.
    """

    def __call__(self, raw: bytes) -> T:
        decoded = super().__call__(raw)
        found = body_faults(raw, self._target)
        if found:
            raise _invalid(found)
        return decoded


def validation_problem(error: msgspec.ValidationError, raw: bytes, target: Any) -> Problem:
    """422 ``invalid-request`` naming every field of the body that is wrong (``lines[0].item_id``).

    First comes the one that msgspec found, which the detail names with the number of the others.
    """
    match = _VALIDATION_PATH.fullmatch(str(error))
    what, path = (match["what"], match["path"]) if match else (str(error), "$")
    first: Fault = {"field": path.removeprefix("$").removeprefix(".") or "body", "message": what}
    return _invalid(other_faults(first, body_faults(raw, target)))


def _invalid(errors: list[Fault]) -> Problem:
    said = f"{errors[0]['field']}: {errors[0]['message']}"
    if "allowed" in errors[0]:
        said += f"; allowed are {', '.join(map(str, errors[0]['allowed']))}"
    return INVALID_REQUEST(said + and_more(errors), **named_faults(errors))


_ENCODE: Final = msgspec.json.Encoder().encode
_FORBIDDEN: Final = (inspect.FloatType, inspect.DecimalType, inspect.AnyType)


def _countable(found: inspect.Type, seen: set[type]) -> bool:
    """Whether counting quotes finds duplicate keys in this type. TypeError for a type that is not read strictly."""
    if isinstance(found, inspect.Metadata):
        return _countable(found.type, seen)
    if isinstance(found, _FORBIDDEN):
        raise TypeError(f"{type(found).__name__} is not read strictly; declare numbers as msgspec.Raw")
    if isinstance(found, inspect.IntType):
        if (found.ge is None and found.gt is None) or (found.le is None and found.lt is None):
            raise TypeError("an int is read with both bounds only: Annotated[int, msgspec.Meta(ge=..., le=...)]")
        return True
    if isinstance(found, inspect.StructType):
        if found.cls in seen:
            return True
        seen.add(found.cls)
        if not found.forbid_unknown_fields:
            raise TypeError(f"{found.cls.__name__} must be declared with forbid_unknown_fields=True")
        config = found.cls.__struct_config__
        counted = [_countable(field.type, seen) for field in found.fields]
        omits = config.omit_defaults or all(field.required for field in found.fields)
        return all(counted) and omits and found.tag is None
    members = [_countable(member, seen) for member in _members(found)]  # every one, for its TypeError
    return all(members)


def _members(found: inspect.Type) -> Iterator[inspect.Type]:
    if isinstance(found, inspect.UnionType):
        yield from found.types
    elif isinstance(found, inspect.DictType):
        yield found.key_type
        yield found.value_type
    elif isinstance(found, inspect.TupleType):
        yield from found.item_types
    elif isinstance(found, inspect.CollectionType):
        yield found.item_type


class _StrictJSONError(ValueError):
    """JSON that the json module would accept."""


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for place, key in enumerate(keys) if key in keys[:place])
        raise _StrictJSONError(f"the key {twice[:100]!r} is given twice")
    return made


def _integer(text: str) -> int:
    return int(_number(text))


def _decimal(text: str) -> Decimal:
    return Decimal(_number(text))


def _number(text: str) -> str:
    if len(text) > MAX_NUMBER_LENGTH:
        raise _StrictJSONError(f"a number has more than {MAX_NUMBER_LENGTH} characters")
    if "e" in text or "E" in text:
        raise _StrictJSONError(f"the number {text} has an exponent")
    return text


def _constant(text: str) -> NoReturn:
    raise _StrictJSONError(f"{text} is no JSON number")


_EXACT: Final = json.JSONDecoder(
    object_pairs_hook=_object, parse_int=_integer, parse_float=_decimal, parse_constant=_constant, strict=True
)


def _bound(raw: bytes, max_bytes: int) -> None:
    if len(raw) > max_bytes:
        raise BODY_TOO_LARGE(f"the body has {len(raw)} bytes, at most {max_bytes} are read")


def _check_depth(raw: bytes, max_depth: int) -> None:
    if raw.count(b"[") + raw.count(b"{") <= max_depth:
        return
    depth = 0
    for bracket in _BRACKETS.finditer(_STRING.sub(b"", raw)):
        depth += 1 if bracket[0] in b"[{" else -1
        if depth > max_depth:
            raise MALFORMED_JSON(f"the body is nested more than {max_depth} deep")


def _check_characters(value: Any) -> None:
    for text in _texts(value):
        if "\0" in text:
            raise MALFORMED_JSON("a text holds the character U+0000")
        if not text.isascii() and _SURROGATE.search(text):
            raise MALFORMED_JSON("a text holds half of a surrogate pair")


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, member in value.items():
            yield key
            yield from _texts(member)
    elif isinstance(value, list):
        for member in value:
            yield from _texts(member)
