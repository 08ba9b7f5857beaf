"""The bodies of requests about subscriptions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Annotated, Any, Final

import msgspec
from msgspec import UNSET, UnsetType

from shared.checked_fields import CheckedId, Name
from shared.outbox.message_cursor import MessageCursor, read_cursor
from shared.outbox.message_records import MessageType
from shared.runtime.http.body_faults import Fault, FieldRule
from shared.runtime.webhooks.address_guard import MAX_URL

START: Final = "start"
END: Final = "end"
LONGEST_OVERLAP: Final = 30 * 86_400
_TYPES: Final = frozenset(each.value for each in MessageType)


def after_fault(text: str) -> str | None:
    """Why a text is no place to begin at, or None where it is."""
    if text in {START, END}:
        return None
    try:
        read_cursor(text)
    except ValueError as error:
        return f"neither 'start' nor 'end', and {error}"
    return None


def cursor_of(text: str) -> MessageCursor | None:
    """The cursor that a checked text names; None for 'start' and 'end'."""
    return None if text in {START, END} else read_cursor(text)


def _type_fault(name: str) -> str | None:
    return None if name in _TYPES else "there are no messages of this type"


Url = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_URL, description="Where the messages are posted")]
TypeName = Annotated[
    str, msgspec.Meta(pattern=r"^larder\.[A-Za-z]{1,60}\Z"), FieldRule(_type_fault, tuple(sorted(_TYPES)))
]
Types = Annotated[list[TypeName], msgspec.Meta(min_length=1, max_length=len(_TYPES))]
Place = Annotated[
    str, msgspec.Meta(max_length=40, description="'start', 'end' or a message's cursor"), FieldRule(after_fault)
]
MessageId = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f-]{36}-[0-9]{1,3}\Z")]


class WantedState(StrEnum):
    """The states that a person may set. DISABLED is what a receiver's 410 and a key's end do; ACTIVE ends it."""

    ACTIVE = "ACTIVE"
    PAUSED = "PAUSED"


class _Input(msgspec.Struct, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Unknown fields are refused, so that a misspelt one is not ignored."""


class SubscriptionInput(_Input, kw_only=True):
    """A new subscription. `types`: full names, all if left out. `after`: where in the log it begins."""

    url: Url
    types: Types | None = None
    after: Place = END
    label: Name | None = None


class GroupSubscriptionInput(SubscriptionInput, kw_only=True):
    """One at head office. `location_ids`: only these locations' messages; all, new ones too, if left out."""

    location_ids: Annotated[list[CheckedId], msgspec.Meta(min_length=1, max_length=1_000)] | None = None


class SubscriptionChange(_Input, kw_only=True):
    """What is left out stays; `types` and `label` of null go back to all and none."""

    url: Url | UnsetType = UNSET
    types: Types | UnsetType | None = UNSET
    label: Name | UnsetType | None = UNSET
    state: WantedState | UnsetType = UNSET


class SubscriptionRotationInput(_Input, kw_only=True):
    """`overlap_seconds`: how long the secrets before still sign, beside the new one."""

    overlap_seconds: Annotated[int, msgspec.Meta(ge=0, le=LONGEST_OVERLAP)] = 86_400


class ReplayInput(_Input, kw_only=True):
    """Either `after`: everything after it is sent again, at one location or at all; or one message by its id."""

    after: Place | None = None
    location_id: CheckedId | None = None
    message_id: MessageId | None = None

    @staticmethod
    def faults_between(given: Mapping[str, Any]) -> Iterator[Fault]:
        if given.keys() >= {"after", "message_id"} and (given["after"] is None) == (given["message_id"] is None):
            yield {"field": "after", "message": "give either after or message_id"}
        if given.get("message_id") is not None and given.get("location_id") is not None:
            yield {"field": "location_id", "message": "a message is known by its id alone"}
