"""What the routes of messages share at a branch and at head office: who may read, parameters, pages, documentation."""

from __future__ import annotations

import re
from typing import Annotated, Any, Final

import msgspec
from fastapi import Header, Query
from starlette.responses import Response

from shared.outbox.message_cursor import BEFORE_ALL, MessageCursor, read_cursor
from shared.outbox.message_records import MessageType
from shared.outbox.message_schemas import MessageList, list_schema, message_schemas, schemas_schema
from shared.outbox.outbox_reader import OutboxReader
from shared.runtime.http.application import json_response
from shared.runtime.http.cursor import BAD_CURSOR
from shared.runtime.http.streams.event_stream import MEDIA_TYPE
from shared.runtime.problems import INVALID_REQUEST

MOST_READS: Final = 50
"""How many parts of a log are read for one page: where few of its messages are wanted, most parts have none."""

START: Final = "start"
END: Final = "end"

_FULL_NAMES: Final = [kind.value for kind in MessageType]
_ONE_TYPE: Final = "|".join(re.escape(name) for name in _FULL_NAMES)
_CURSOR: Final = {"json_schema_extra": {"pattern": r"^(start|end|\d{8}-\d{16}-\d{3})$"}}

MessagesAfter = Annotated[
    str,
    Query(max_length=64, description="`start`, `end`, the `cursor` of a message, or the `next` of a page", **_CURSOR),
]
MessageTypes = Annotated[
    str | None,
    Query(
        max_length=1_000,
        description=f"Only these types, by comma: {', '.join(_FULL_NAMES)}",
        json_schema_extra={"pattern": f"^({_ONE_TYPE})(,({_ONE_TYPE}))*$"},
    ),
]
LastEventId = Annotated[
    str | None,
    Header(alias="Last-Event-ID", max_length=64, description="The last `id` received; goes before `after`"),
]


def types_of(text: str | None) -> frozenset[str] | None:
    """The full names of a list by comma, None where it is not given. Raises Problem 422 `invalid-request`."""
    if text is None:
        return None
    names = frozenset(each.strip() for each in text.split(","))
    for unknown in sorted(names - set(_FULL_NAMES)):
        fault = {"field": "types", "message": f"there is no type {unknown[:64]!r}", "allowed": _FULL_NAMES}
        raise INVALID_REQUEST(f"types: there is no type {unknown[:64]!r} of messages", errors=[fault])
    return names


def cursor_of(reader: OutboxReader, location_id: str, text: str) -> MessageCursor:
    """The cursor of a parameter. Raises Problem 400 `bad-cursor`, or 409 `cursor-ahead`."""
    if text == START:
        return BEFORE_ALL
    if text == END:
        return reader.end(location_id)
    try:
        after = read_cursor(text)
    except ValueError as error:
        raise BAD_CURSOR(str(error), hint="Take the `cursor` of a message, or 'start' or 'end'.") from error
    reader.check(location_id, after)
    return after


def message_page(reader: OutboxReader, location_id: str, after: str, types: str | None, limit: int) -> Response:
    """The answer of the list. Raises Problem, as `types_of` and `cursor_of`.

    It is empty only at the end of the log, or where a long part of it has none of the messages that are wanted.
    """
    wanted = types_of(types)
    cursor = cursor_of(reader, location_id, after)
    for _ in range(MOST_READS):
        page = reader.read(location_id, cursor, wanted, limit)
        cursor = page.next
        if page.messages or page.is_last:
            break
    items = [msgspec.Raw(each.body) for each in page.messages]
    return json_response(MessageList(items=items, next=str(page.next), waits_for=page.waits_for))


def schemas_page() -> Response:
    """The answer with the JSON Schema of every type."""
    return json_response(message_schemas())


def documented_list() -> dict[str, Any]:
    """What OpenAPI says of the list's answer."""
    return _documented("application/json", list_schema(), "Messages in the order of the log")


def documented_schemas() -> dict[str, Any]:
    """What OpenAPI says of the schemas' answer."""
    return _documented("application/json", schemas_schema(), "The JSON Schema of every type, by its full name")


def documented_stream() -> dict[str, Any]:
    """What OpenAPI says of the stream."""
    return _documented(
        MEDIA_TYPE,
        {"type": "string"},
        "Server-sent events: `id` is a cursor, `data` a message. `id` alone, at the start and every 15 seconds, is how "
        "far the log was read",
    )


def _documented(media_type: str, schema: dict[str, Any], description: str) -> dict[str, Any]:
    return {"description": description, "content": {media_type: {"schema": schema}}}
