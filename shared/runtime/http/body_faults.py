"""Every fault of a JSON body, where msgspec's decoder stops at the first: read again part by part, by its types."""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import Enum
from itertools import islice
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin, get_type_hints

import msgspec

MOST_FAULTS: Final = 50
_PATH: Final = re.compile(r"(?P<what>.*?) - at `\$(?P<path>.*)`", re.DOTALL)


def body_faults(raw: bytes, target: Any) -> list[dict[str, Any]]:
    """The faults of a body that `target` refuses, at most MOST_FAULTS, in the order of its fields.

    Each has `field` (`lines[0].item_id`), `message`, and `allowed` where the value is not of a closed list.
    """
    return list(islice(_faults(msgspec.Raw(raw), target, ""), MOST_FAULTS))


def _faults(raw: msgspec.Raw, annotation: Any, path: str) -> Iterator[dict[str, Any]]:
    struct, item = _struct(annotation), _item(annotation)
    if struct is not None and bytes(raw).lstrip()[:1] == b"{":
        yield from _of_struct(raw, struct, path)
        return
    if item is not None and bytes(raw).lstrip()[:1] == b"[":
        for place, part in enumerate(msgspec.json.decode(raw, type=list[msgspec.Raw])):
            yield from _faults(part, item, f"{path}[{place}]")
        fault = _decoded(raw, annotation, path)
        if fault is not None and fault["field"] == (path or "body"):
            yield fault  # of the list itself: too short or too long
        return
    fault = _decoded(raw, annotation, path)
    if fault is not None:
        yield fault


def _of_struct(raw: msgspec.Raw, struct: type[msgspec.Struct], path: str) -> Iterator[dict[str, Any]]:
    given = msgspec.json.decode(raw, type=dict[str, msgspec.Raw])
    hints = get_type_hints(struct, include_extras=True)
    fields = {field.encode_name: field for field in msgspec.structs.fields(struct)}
    prefix = f"{path}." if path else ""
    for name, field in fields.items():
        if name in given:
            yield from _faults(given[name], hints[field.name], f"{prefix}{name}")
        elif field.required:
            yield {"field": path or "body", "message": f"Object missing required field `{name}`"}
    if struct.__struct_config__.forbid_unknown_fields:
        for name in given.keys() - fields.keys():
            yield {"field": path or "body", "message": f"Object contains unknown field `{name[:100]}`"}


def _decoded(raw: msgspec.Raw, annotation: Any, path: str) -> dict[str, Any] | None:
    try:
        msgspec.json.decode(raw, type=annotation)
    except msgspec.ValidationError as error:
        found = _PATH.fullmatch(str(error))
        what, rest = (found["what"], found["path"]) if found else (str(error), "")
        fault: dict[str, Any] = {"field": f"{path}{rest}".removeprefix(".") or "body", "message": what}
        allowed = _allowed(annotation)
        return fault | ({"allowed": allowed} if allowed and what.startswith("Invalid enum value") else {})
    return None


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
