"""The AsyncAPI 3 document of the messages: what a service sends, by which ways, and the schema of each message."""

from __future__ import annotations

from typing import Any, Final

from shared.outbox.message_records import CONTENT_TYPE, MEANING, MessageType
from shared.outbox.message_schemas import message_schema, short_name
from shared.runtime.clock import SECOND
from shared.runtime.http.streams.event_stream import MEDIA_TYPE
from shared.runtime.webhooks.webhook_poster import ATTEMPT_SECONDS, AWAY_STATUSES, GONE_STATUS, LONGEST_RETRY_AFTER
from shared.runtime.webhooks.webhook_signatures import HEADERS, PREFIX, TOLERANCE_SECONDS
from shared.subscriptions.delivery_state import FIRST_WAIT, LONGEST_REFUSED, LONGEST_WAIT, SPREAD

VERSION: Final = "3.0.0"
STREAM: Final = "stream"
WEBHOOKS: Final = "webhooks"
_ID, _TIMESTAMP, _SIGNATURE = HEADERS
_HTTP_BINDING: Final = "0.3.0"

_NAMES: Final = [short_name(kind) for kind in MessageType]

_ABOUT: Final = (
    "CloudEvents 1.0 in JSON, in the order of a location's log. Take the figures that a message states and never add "
    "up changes: counts, late events and voids make sums wrong. A message may come more than once: `id` tells it."
)
_STREAMED: Final = (
    f"`GET`, answered as {MEDIA_TYPE}: `data` is a message, `id` its cursor. After a break the client sends its last "
    "`id` as `Last-Event-ID`, as browsers do by themselves."
)
_POSTED: Final = (
    "The address is the `url` of a subscription (`POST /v1/subscriptions`), whose answer has the secret that signs, "
    f"once. Each message is one `POST` of `{CONTENT_TYPE}`; those of one location come in the order of its log, one at "
    "a time."
)
_DELIVERY: Final = (
    f"Answer 2xx within {ATTEMPT_SECONDS:g} seconds, and work afterwards: the message is delivered then, and the next "
    f"one comes. {GONE_STATUS} ends the subscription until somebody resumes it. After any other answer, or none, the "
    f"message is tried again: after {FIRST_WAIT:g} s, then twice as long each time up to {LONGEST_WAIT:g} s, each wait "
    f"longer or shorter by up to {SPREAD:.0%}, or as `Retry-After` says, up to {LONGEST_RETRY_AFTER:g} s. A receiver "
    "that is away (no connection, no answer in time, "
    f"{', '.join(map(str, sorted(AWAY_STATUSES)))}) is waited for without end; a message that was answered otherwise "
    f"for {LONGEST_REFUSED // (3_600 * SECOND)} hours is given up, and the next one comes. Redirects are not followed. "
    f"The same message may come more than once, always with the same `{_ID}`."
)
_SIGNED: Final = (
    f"Standard Webhooks: each signature is `v1,` and the base64 of HMAC-SHA256 over `{_ID}.{_TIMESTAMP}.body`, made "
    f"with the bytes of a secret (the base64 behind `{PREFIX}`). While a secret is being rotated there are several, "
    "with blanks between them: one that is right is enough. Refuse a timestamp more than "
    f"{TOLERANCE_SECONDS} s from your own time."
)


def async_api(title: str, version: str) -> dict[str, Any]:
    """The document of a service with this title, of this version of Larder."""
    return {
        "asyncapi": VERSION,
        "info": {"title": f"{title}: published messages", "version": version, "description": _ABOUT},
        "defaultContentType": CONTENT_TYPE,
        "channels": {
            STREAM: {
                "address": "/v1/messages/stream",
                "title": "Server-sent events",
                "description": _STREAMED,
                "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in _NAMES},
            },
            WEBHOOKS: {
                # Known when somebody subscribes.
                "address": None,
                "title": "Webhooks",
                "description": _POSTED,
                "messages": {short_name(kind): _posted_message(kind) for kind in MessageType},
            },
        },
        "operations": {
            "sendMessages": {
                **_sending(STREAM, "Send each message as it comes", "GET"),
                "security": [{"$ref": "#/components/securitySchemes/apiKey"}],
            },
            "postMessages": {
                **_sending(WEBHOOKS, "Post each message to those who subscribe", "POST"),
                "description": _DELIVERY,
                "security": [{"$ref": "#/components/securitySchemes/signature"}],
            },
        },
        "components": {
            "messages": {short_name(kind): _message(kind) for kind in MessageType},
            "messageTraits": {"signed": {"headers": {"$ref": "#/components/schemas/SignedHeaders"}}},
            "schemas": {short_name(kind): message_schema(kind) for kind in MessageType}
            | {"SignedHeaders": _signed_headers()},
            "securitySchemes": {
                "apiKey": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "A key with the scope `messages`, as of every route: `Authorization: Bearer lk_…`.",
                },
                "signature": {"type": "httpApiKey", "in": "header", "name": _SIGNATURE, "description": _SIGNED},
            },
        },
    }


def _sending(channel: str, title: str, method: str) -> dict[str, Any]:
    return {
        "action": "send",
        "title": title,
        "channel": {"$ref": f"#/channels/{channel}"},
        "messages": [{"$ref": f"#/channels/{channel}/messages/{name}"} for name in _NAMES],
        "bindings": {"http": {"method": method, "bindingVersion": _HTTP_BINDING}},
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


def _posted_message(kind: MessageType) -> dict[str, Any]:
    return {**_message(kind), "traits": [{"$ref": "#/components/messageTraits/signed"}]}


def _signed_headers() -> dict[str, Any]:
    one = r"v1,[A-Za-z0-9+/]{43}="
    return {
        "type": "object",
        "description": "Those by which a request is verified, as Standard Webhooks names them.",
        "properties": {
            _ID: {"type": "string", "description": "The message's `id`, in each attempt the same"},
            _TIMESTAMP: {
                "type": "string",
                "pattern": "^[0-9]{1,12}$",
                "description": "When this attempt was made, in seconds since 1970",
            },
            _SIGNATURE: {
                "type": "string",
                "pattern": f"^{one}( {one})*$",
                "description": "A signature for each secret that signs now",
            },
        },
        "required": list(HEADERS),
    }
