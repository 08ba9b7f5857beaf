"""Every fault of a JSON body, where msgspec's decoder stops at the first: read again part by part, by its types.

What a type does not say, a `FieldRule` in the field's annotation does, and what holds between fields a static method
`faults_between` of the struct. It is given the members that are good by themselves, by name of the field with defaults
filled in, and yields faults as they stand in `errors`. Both are called only once a body was refused, or by a
`CheckedDecoder`; a well-formed body of a hot route is checked by its own reader.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from enum import Enum
from functools import cache
from itertools import islice
from typing import Annotated, Any, Final, Literal, NamedTuple, TypeVar, Union, get_args, get_origin, get_type_hints

import msgspec

from shared.runtime.problems import Problem, named_faults

MOST_COUNTED: Final = 10_000
"""How many faults of a body are looked for, of which a problem names the first: more than one of honest size has."""
_PATH: Final = re.compile(r"(?P<what>.*?) - at `\$(?P<path>.*)`", re.DOTALL)


Fault = dict[str, Any]
C = TypeVar("C")


class FieldRule(NamedTuple):
    """What a field must keep beyond its type: `fault` says of a value why it cannot be, or gives None.

    `allowed`: the values that can be, where they are a closed list.
    """

    fault: Callable[[Any], str | None]
    allowed: tuple[str, ...] = ()


class _Shape(NamedTuple):
    """What is read of an annotation: the struct or the list's members that it holds, its rules, its closed list."""

    decode: Callable[[Any], Any]
    struct: type[msgspec.Struct] | None
    item: _Shape | None
    rules: tuple[FieldRule, ...]
    allowed: list[Any]


class _Member(NamedTuple):
    field: msgspec.structs.FieldInfo
    shape: _Shape


def body_faults(raw: bytes, target: Any) -> list[Fault]:
    """The faults of a body that `target` refuses, at most MOST_COUNTED, in the order of its fields.

    Each has `field` (`lines[0].item_id`), `message`, and `allowed` where the value is not of a closed list.
    """
    return list(islice(_faults(msgspec.Raw(raw), _shape(target), ""), MOST_COUNTED))


def naming_every_fault(read: Callable[..., C], *given: Any) -> C:
    """The result of `read(*given)`; the last of `given` is the decoded body.

    A Problem that names a field in `errors` keeps its code and names the other faults of the body as well.
    """
    try:
        return read(*given)
    except Problem as problem:
        first = problem.extras.get("errors")
        if first:
            body = given[-1]
            errors = other_faults(first[0], body_faults(msgspec.json.encode(body), type(body)))
            problem.extras |= named_faults(errors)
            problem.detail += and_more(errors)
        raise


def other_faults(first: Fault, found: list[Fault]) -> list[Fault]:
    """The faults of a body with the one that was met first in front, and none twice."""
    errors = [each for each in found if each.items() >= first.items()][:1] or [first]
    return errors + [each for each in found if each not in errors]


def and_more(errors: list[Fault]) -> str:
    """The end of a detail that names the first of these faults."""
    return f" (and {len(errors) - 1} more, see 'errors')" if len(errors) > 1 else ""


def faults_of(read: Callable[..., Any], *given: Any, **named: Any) -> Iterator[Fault]:
    """The faults that a reader's Problem names, none where it raises none."""
    try:
        read(*given, **named)
    except Problem as problem:
        yield from problem.extras.get("errors", ())


def _faults(raw: msgspec.Raw, shape: _Shape, path: str) -> Iterator[Fault]:
    beginning = bytes(raw).lstrip()[:1]
    if shape.struct is not None and beginning == b"{":
        yield from _of_struct(raw, shape.struct, path)
        return
    if shape.item is not None and beginning == b"[":
        for place, part in enumerate(msgspec.json.decode(raw, type=list[msgspec.Raw])):
            yield from _faults(part, shape.item, f"{path}[{place}]")
        fault = _decoded(raw, shape, path)
        if fault is not None and fault["field"] == (path or "body"):
            yield fault  # of the list itself: too short or too long
        return
    fault = _decoded(raw, shape, path) or _ruled(raw, shape, path)
    if fault is not None:
        yield fault


def _of_struct(raw: msgspec.Raw, struct: type[msgspec.Struct], path: str) -> Iterator[Fault]:
    given = msgspec.json.decode(raw, type=dict[str, msgspec.Raw])
    members = _members(struct)
    prefix = f"{path}." if path else ""
    good: dict[str, Any] = {}
    for name, (field, shape) in members.items():
        if name in given:
            faults = False
            for fault in _faults(given[name], shape, f"{prefix}{name}"):
                faults = True
                yield fault
            if not faults:
                good[field.name] = shape.decode(given[name])
        elif field.required:
            yield {"field": path or "body", "message": f"Object missing required field `{name}`"}
        else:
            good[field.name] = field.default
    if struct.__struct_config__.forbid_unknown_fields:
        for name in given:
            if name not in members:
                yield {"field": path or "body", "message": f"Object contains unknown field `{name[:100]}`"}
    between = getattr(struct, "faults_between", None)
    if between is not None:
        for fault in between(good):
            yield fault | {"field": f"{prefix}{fault['field']}"}


def _decoded(raw: msgspec.Raw, shape: _Shape, path: str) -> Fault | None:
    try:
        shape.decode(raw)
    except msgspec.ValidationError as error:
        found = _PATH.fullmatch(str(error))
        what, rest = (found["what"], found["path"]) if found else (str(error), "")
        fault: Fault = {"field": f"{path}{rest}".removeprefix(".") or "body", "message": what}
        return fault | ({"allowed": shape.allowed} if shape.allowed and what.startswith("Invalid enum value") else {})
    return None


def _ruled(raw: msgspec.Raw, shape: _Shape, path: str) -> Fault | None:
    value = shape.decode(raw) if shape.rules else None
    if value is None:
        return None
    for rule in shape.rules:
        message = rule.fault(value)
        if message is not None:
            return {"field": path or "body", "message": message} | (
                {"allowed": list(rule.allowed)} if rule.allowed else {}
            )
    return None


@cache
def _members(struct: type[msgspec.Struct]) -> dict[str, _Member]:
    hints = get_type_hints(struct, include_extras=True)
    return {field.encode_name: _Member(field, _shape(hints[field.name])) for field in msgspec.structs.fields(struct)}


def _shape(annotation: Any) -> _Shape:
    item = _item(annotation)
    rules = tuple(_rules(annotation))
    allowed = [each for rule in rules for each in rule.allowed] or _allowed(annotation)
    decode = msgspec.json.Decoder(annotation).decode
    return _Shape(decode, _struct(annotation), None if item is None else _shape(item), rules, allowed)


def _rules(annotation: Any) -> Iterator[FieldRule]:
    origin = get_origin(annotation)
    if origin is Annotated:
        kind, *said = get_args(annotation)
        yield from _rules(kind)
        yield from (each for each in said if isinstance(each, FieldRule))
    elif origin is Union or type(annotation).__name__ == "UnionType":
        for part in get_args(annotation):
            yield from _rules(part)


def _plain(annotation: Any) -> list[Any]:
    """The types that an annotation may be, without what is said about them, and without None."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return _plain(get_args(annotation)[0])
    if origin is Union or type(annotation).__name__ == "UnionType":
        return [each for part in get_args(annotation) for each in _plain(part)]
    return [] if annotation in (None, type(None)) else [annotation]


def _struct(annotation: Any) -> type[msgspec.Struct] | None:
    kinds = _plain(annotation)
    if len(kinds) == 1 and isinstance(kinds[0], type) and issubclass(kinds[0], msgspec.Struct):
        return kinds[0]
    return None


def _item(annotation: Any) -> Any:
    kinds = _plain(annotation)
    if len(kinds) != 1 or get_origin(kinds[0]) not in (list, tuple):
        return None
    items = [each for each in get_args(kinds[0]) if each is not Ellipsis]
    return items[0] if len(items) == 1 else None


def _allowed(annotation: Any) -> list[Any]:
    found: list[Any] = []
    for kind in _plain(annotation):
        if get_origin(kind) is Literal:
            found += get_args(kind)
        elif isinstance(kind, type) and issubclass(kind, Enum):
            found += [each.value for each in kind]
    return found
