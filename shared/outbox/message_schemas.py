"""JSON Schemas of the messages, derived from their types, and of a page of them.

Members may be added to a message; what changes otherwise gets a new type. So the schemas allow members that they do not
name.
"""

from __future__ import annotations

import copy
from typing import Any, Final

import msgspec

from shared.outbox.message_records import DATA_OF, MEANING, CloudEvent, MessageType
from shared.outbox.message_source import WaitsFor
from shared.runtime.http.json_schemas import answer_schema_of

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"


class MessageList(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A page of messages. `next` is always given and goes on where new messages will come."""

    items: list[msgspec.Raw]
    next: str
    waits_for: WaitsFor | None = None


def short_name(kind: MessageType) -> str:
    """Such as `StockAdded`."""
    return kind.value.rpartition(".")[2]


def message_schema(kind: MessageType) -> dict[str, Any]:
    """The JSON Schema of the messages of a type, without references."""
    envelope: Any = CloudEvent
    schema: dict[str, Any] = copy.deepcopy(answer_schema_of(envelope[DATA_OF[kind]]))
    schema["title"], schema["description"] = short_name(kind), MEANING[kind]
    schema["properties"]["type"] = {"const": kind.value}
    return schema


def message_schemas() -> dict[str, dict[str, Any]]:
    """The JSON Schema of every type of message, by its full name."""
    return {kind.value: {"$schema": DIALECT, **message_schema(kind)} for kind in MessageType}


def list_schema() -> dict[str, Any]:
    """The schema of a page: each type of message with its own."""
    schema: dict[str, Any] = copy.deepcopy(answer_schema_of(MessageList))
    messages = [message_schema(kind) for kind in MessageType]
    schema["properties"]["items"] = {"type": "array", "items": {"anyOf": messages}}
    schema["properties"]["waits_for"]["description"] = (
        "Head office: the event of which nothing comes after these messages until it can be folded"
    )
    return schema


def schemas_schema() -> dict[str, Any]:
    """The schema of the answer with the schemas."""
    return {
        "type": "object",
        "properties": {kind.value: {"type": "object", "description": MEANING[kind]} for kind in MessageType},
        "required": [kind.value for kind in MessageType],
    }
