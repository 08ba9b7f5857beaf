"""CloudEvents 1.0 over HTTP: one event, in structured mode or in binary mode, read without its data's meaning.

Members that nobody here uses are ignored, as other systems add theirs; what is used is read strictly.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, TypeVar
from urllib.parse import unquote_to_bytes

import msgspec

from shared.checked_fields import Moment
from shared.runtime.clock import parse_rfc3339
from shared.runtime.http.body_faults import FieldRule, and_more, body_faults
from shared.runtime.http.strict_json import parse_json
from shared.runtime.problems import BAD_REQUEST, INVALID_REQUEST, UNSUPPORTED_MEDIA_TYPE, named_faults
from shared.runtime.text.text_faults import code_fault

STRUCTURED: Final = "application/cloudevents+json"
PLAIN: Final = "application/json"
MAX_EVENT_BYTES: Final = 256 * 1024
_ATTRIBUTES: Final = ("specversion", "id", "source", "type", "time")
_LONGEST_HEADER: Final = 2_000

Attribute = Annotated[str, msgspec.Meta(min_length=1, max_length=300), FieldRule(code_fault)]

T = TypeVar("T")


class CloudEventInput(msgspec.Struct, kw_only=True, omit_defaults=True):
    """The attributes of a CloudEvent. `source` and `id` together say which event it is, however often it is sent."""

    specversion: Literal["1.0"]
    id: Attribute
    source: Attribute
    type: Attribute
    time: Moment | None = None


class _StructuredInput(CloudEventInput, kw_only=True, omit_defaults=True):
    datacontenttype: Annotated[str, msgspec.Meta(max_length=300)] | None = None
    data: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


class InboundEvent(msgspec.Struct, frozen=True, kw_only=True):
    """One event. `time` in microseconds UTC; `data` is JSON as it was sent, None where there is none."""

    id: str
    source: str
    type: str
    time: int | None
    data: bytes | None


def read_cloud_event(headers: Mapping[str, str], body: bytes) -> InboundEvent:
    """The event of a request. `headers` by lower-case names. Raises Problem 400, 415 or 422."""
    media_type = _media_type(headers.get("content-type", ""))
    if media_type == STRUCTURED:
        parse_json(body, max_bytes=MAX_EVENT_BYTES)
        given = tolerant(body, _StructuredInput)
        if given.datacontenttype is not None and not _is_json(_media_type(given.datacontenttype)):
            raise UNSUPPORTED_MEDIA_TYPE("the event's data is read as JSON only: datacontenttype says otherwise")
        return _event(given, None if isinstance(given.data, msgspec.UnsetType) else bytes(given.data))
    if "ce-specversion" not in headers:
        raise UNSUPPORTED_MEDIA_TYPE(
            f"the body is no CloudEvent: send it whole as {STRUCTURED}, or its attributes as ce-… headers and its "
            f"data as {PLAIN}"
        )
    if body and not _is_json(media_type):
        raise UNSUPPORTED_MEDIA_TYPE(f"the event's data is read as {PLAIN} only")
    if body:
        parse_json(body, max_bytes=MAX_EVENT_BYTES)
    named = {name: _header(name, headers[f"ce-{name}"]) for name in _ATTRIBUTES if f"ce-{name}" in headers}
    return _event(tolerant(msgspec.json.encode(named), CloudEventInput, "ce-"), body or None)


def tolerant(raw: bytes, target: type[T], path: str = "") -> T:
    """What a JSON text that was parsed strictly says in the members of a type; others are ignored.

    Raises Problem 422 `invalid-request` naming every fault, each field behind `path`.
    """
    found = body_faults(raw, target)
    if not found:
        try:
            return msgspec.json.decode(raw, type=target)
        except msgspec.ValidationError as error:
            found = [{"field": "body", "message": str(error)}]
    errors: list[dict[str, Any]] = [each | {"field": _behind(path, each["field"])} for each in found]
    first = errors[0]
    raise INVALID_REQUEST(f"{first['field']}: {first['message']}{and_more(errors)}", **named_faults(errors))


def moment_of(text: str | None) -> int | None:
    """A moment that `tolerant` has checked, in microseconds UTC."""
    return None if text is None else parse_rfc3339(text)[0]


def _behind(path: str, field: str) -> str:
    if field != "body":
        return path + field
    return path.rstrip(".-") or field


def _event(given: CloudEventInput, data: bytes | None) -> InboundEvent:
    return InboundEvent(id=given.id, source=given.source, type=given.type, time=moment_of(given.time), data=data)


def _media_type(text: str) -> str:
    return text.partition(";")[0].strip().lower()


def _is_json(media_type: str) -> bool:
    return media_type == PLAIN or media_type.endswith("+json")


def _header(name: str, value: str) -> str:
    """An attribute of a header: percent-encoded UTF-8, as the HTTP binding of CloudEvents has it."""
    if len(value) > _LONGEST_HEADER:
        raise INVALID_REQUEST(f"ce-{name}: the header is longer than {_LONGEST_HEADER} characters")
    try:
        return unquote_to_bytes(value.encode("latin-1")).decode("utf-8")
    except UnicodeDecodeError as error:
        raise BAD_REQUEST(f"the header ce-{name} is not percent-encoded UTF-8") from error
