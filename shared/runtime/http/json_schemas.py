"""JSON Schemas of msgspec types for the OpenAPI document, written out in place without references."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

import msgspec
from msgspec import inspect


# Cached, as working schemas out takes a quarter of the time in which a service is put together.
@cache
def body_schema_of(target: Any) -> Any:
    """The schema of a type that is read. Shared by all that document the type: not to be changed."""
    (schema,), components = msgspec.json.schema_components((target,))
    return _inlined(schema, components)


@cache
def answer_schema_of(target: Any) -> Any:
    """The schema of a type that is written. Shared like `body_schema_of`.

    A struct with `omit_defaults` leaves out a field that is None, so such a field is documented as absent, never null.
    """
    classes = [each.cls for each in _structs(inspect.type_info(target))]
    sparse = {_title(cls) for cls in classes if getattr(cls, "__origin__", cls).__struct_config__.omit_defaults}
    return _without_nulls(body_schema_of(target), sparse)


def _inlined(schema: Any, components: Mapping[str, Any]) -> Any:
    if isinstance(schema, dict):
        if "$ref" in schema:
            # What stands beside the reference is of this place and narrows what it refers to: a shorter list of values.
            beside = {name: member for name, member in schema.items() if name != "$ref"}
            return _inlined(components[schema["$ref"].rpartition("/")[2]], components) | _inlined(beside, components)
        return {name: _inlined(member, components) for name, member in schema.items()}
    if isinstance(schema, list):
        return [_inlined(member, components) for member in schema]
    return copy.copy(schema)


def _structs(value: Any) -> Iterator[inspect.StructType]:
    """The struct types of a type's description, itself and all that it holds."""
    if isinstance(value, inspect.StructType):
        yield value
    if isinstance(value, inspect.Type | inspect.Field):
        for name in value.__struct_fields__:
            yield from _structs(getattr(value, name))
    elif isinstance(value, tuple):
        for each in value:
            yield from _structs(each)


def _title(cls: Any) -> str:
    """The title that msgspec gives the schema of a struct."""
    if hasattr(cls, "__origin__"):
        return f"{cls.__origin__.__name__}[{', '.join(each.__name__ for each in cls.__args__)}]"
    return str(cls.__name__)


def _without_nulls(schema: Any, sparse: set[str]) -> Any:
    if isinstance(schema, list):
        return [_without_nulls(member, sparse) for member in schema]
    if not isinstance(schema, dict):
        return schema
    found = {name: _without_nulls(member, sparse) for name, member in schema.items()}
    if schema.get("title") in sparse and "properties" in schema:
        found["properties"] = {name: _absent_for_null(member) for name, member in found["properties"].items()}
    return found


def _absent_for_null(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema of an optional property without its null and its default of null."""
    if "default" not in schema or schema["default"] is not None:
        return schema
    found = {name: member for name, member in schema.items() if name not in {"anyOf", "default"}}
    kinds = [member for member in schema.get("anyOf", ()) if member != {"type": "null"}]
    return {**kinds[0], **found} if len(kinds) == 1 else {**found, "anyOf": kinds}
