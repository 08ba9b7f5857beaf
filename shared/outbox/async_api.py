"""The AsyncAPI 3 document of the messages: what a service sends, where, and the schema of each message."""

from __future__ import annotations

from typing import Any, Final

from shared.outbox.message_records import CONTENT_TYPE, MEANING, MessageType
from shared.outbox.message_schemas import message_schema, short_name
from shared.runtime.http.streams.event_stream import MEDIA_TYPE

VERSION: Final = "3.0.0"
STREAM: Final = "stream"


def async_api(title: str, version: str) -> dict[str, Any]:
    """The document of a service with this title, of this version of Larder."""
    names = [short_name(kind) for kind in MessageType]
    return {
        "asyncapi": VERSION,
        "info": {
            "title": f"{title}: published messages",
            "version": version,
            "description": "CloudEvents 1.0 in JSON, in the order of a location's log. Take the figures that a message "
            "states and never add up changes: counts, late events and voids make sums wrong. A message may come more "
            "than once: `id` tells it.",
        },
        "defaultContentType": CONTENT_TYPE,
        "channels": {
            STREAM: {
                "address": "/v1/messages/stream",
                "title": "Server-sent events",
                "description": f"`GET`, answered as {MEDIA_TYPE}: `data` is a message, `id` its cursor. After a break "
                "the client sends its last `id` as `Last-Event-ID`, as browsers do by themselves.",
                "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in names},
            }
        },
        "operations": {
            "sendMessages": {
                "action": "send",
                "title": "Send each message as it comes",
                "channel": {"$ref": f"#/channels/{STREAM}"},
                "messages": [{"$ref": f"#/channels/{STREAM}/messages/{name}"} for name in names],
            }
        },
        "components": {
            "messages": {short_name(kind): _message(kind) for kind in MessageType},
            "schemas": {short_name(kind): message_schema(kind) for kind in MessageType},
        },
    }


def _message(kind: MessageType) -> dict[str, Any]:
    name = short_name(kind)
    return {
        "name": kind.value,
        "title": name,
        "summary": MEANING[kind],
        "contentType": CONTENT_TYPE,
        "payload": {"$ref": f"#/components/schemas/{name}"},
    }
