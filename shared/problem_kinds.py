"""The problems that more than one service answers: one code, one status, one title.

A service takes one over with `ProblemCatalogue.adopt`, where it may say in its own words what to do. An item or a
location that the address itself names and that is not there is 404 `item-not-found` or `location-not-found`; one that a
body or a query names is 422 `unknown-item` or `unknown-location`. (Events, orders, reservations, keys, sources and
transfers are only named by an address: `unknown-event` and its like are 404.)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from shared.runtime.problems import ProblemKind

TEXT: Final[Mapping[str, Any]] = {"type": "string"}
WHOLE: Final[Mapping[str, Any]] = {"type": "integer"}
TEXTS: Final[Mapping[str, Any]] = {"type": "array", "items": TEXT}
NEAREST: Final[Mapping[str, Any]] = {
    **TEXTS,
    "description": "Codes like the one that is not known, the most likely first",
}
"""JSON Schemas of members that a problem has beyond those of every problem, for `ProblemCatalogue.carry`."""

ITEM_NOT_FOUND: Final = ProblemKind(
    "item-not-found", 404, "There is no such item here", "GET /v1/items lists the items."
)
LEVEL_NOT_FOUND: Final = ProblemKind(
    "level-not-found",
    404,
    "The item has no reorder level here",
    "Set one with PUT at the same address; the list of reorder levels tells which items have one.",
)
UNKNOWN_ITEM: Final = ProblemKind(
    "unknown-item", 422, "The item is not known here", "Define the item first, or correct the code."
)
UNKNOWN_LOCATION: Final = ProblemKind(
    "unknown-location", 422, "There is no such location", "Add the location at head office first, or correct the code."
)
UNKNOWN_RESERVATION: Final = ProblemKind(
    "unknown-reservation", 404, "There is no such reservation here", "Reservations are listed: GET /v1/reservations."
)
PURCHASE_ORDER_NOT_FOUND: Final = ProblemKind(
    "purchase-order-not-found",
    404,
    "There is no such order to a supplier here",
    "GET /v1/purchase-orders lists those that are known here.",
)
UNIT_DIFFERS: Final = ProblemKind("unit-differs", 422, "The units differ", "Use the item's base unit.")
UNIT_FIXED: Final = ProblemKind(
    "unit-fixed", 409, "The item's base unit is fixed", "Keep the unit, or define another item for the other unit."
)
INVALID_TIME: Final = ProblemKind(
    "invalid-time", 422, "A time that cannot be", "Send RFC 3339 with the offset from UTC."
)
FUTURE_DATE: Final = ProblemKind(
    "future-date", 422, "The time is more than five minutes ahead", "Correct the clock that it was taken from."
)
UNKNOWN_ORDER: Final = ProblemKind(
    "unknown-order", 404, "There is no such order here", "Check order id and source; nothing was recorded under them."
)
KEY_REUSED: Final = ProblemKind(
    "key-reused",
    409,
    "The key was used for other content",
    "Send the same content with the same key, or this content with another key.",
)
CURSOR_AHEAD: Final = ProblemKind(
    "cursor-ahead",
    409,
    "The cursor is ahead of the log",
    "The log was restored from a backup: read the stock anew, then follow from 'end'.",
)
INVALID_KEY: Final = ProblemKind(
    "invalid-idempotency-key", 422, "The Idempotency-Key cannot be used", "Send another one, such as a UUID."
)
UNKNOWN_KEY: Final = ProblemKind("unknown-key", 404, "There is no key of that id", "See GET /v1/keys.")
KEY_REVOKED: Final = ProblemKind("key-revoked", 409, "The key was revoked, for good", "Issue another key.")
INVALID_SIGNATURE: Final = ProblemKind(
    "invalid-signature",
    401,
    "The signature is not one of this source",
    "Sign 'webhook-id.webhook-timestamp.body' with the source's secret, as Standard Webhooks has it, and check the "
    "address: GET /v1/inbound/sources names the sources.",
)
SIGNATURE_EXPIRED: Final = ProblemKind(
    "signature-expired",
    401,
    "The signature is more than five minutes away from the time here",
    "Sign each attempt anew with the time of the attempt in webhook-timestamp; see that both clocks are right.",
)
SOURCE_EXISTS: Final = ProblemKind(
    "source-exists", 409, "This source is there already", "Give the new one another name; for a new secret rotate it."
)
UNKNOWN_SOURCE: Final = ProblemKind(
    "unknown-source", 404, "There is no such source here", "Sources are listed: GET /v1/inbound/sources."
)
TOO_MANY_SOURCES: Final = ProblemKind("too-many-sources", 409, "Too many sources are kept", "Remove one.")
TOO_MANY_SECRETS: Final = ProblemKind(
    "too-many-secrets",
    409,
    "Too many secrets of this source are still valid",
    "Wait until one has ended, or rotate with overlap_seconds 0, which ends them all at once.",
)
URL_REFUSED: Final = ProblemKind(
    "url-refused",
    422,
    "Nothing is sent to this address",
    "Give an https address that anybody can reach; for others the setting webhook_allow names addresses and networks.",
)
SUBSCRIPTION_NOT_FOUND: Final = ProblemKind(
    "subscription-not-found", 404, "There is no such subscription here", "GET /v1/subscriptions lists them."
)
TOO_MANY_SUBSCRIPTIONS: Final = ProblemKind(
    "too-many-subscriptions", 409, "There are as many subscriptions as there can be", "Remove one that nobody needs."
)
UNKNOWN_MESSAGE: Final = ProblemKind(
    "unknown-message",
    422,
    "This message is not among those that were sent lately",
    "See GET /v1/subscriptions/{subscription_id}/deliveries, or name the cursor to send again from.",
)
