"""Every problem that head office answers beyond the common ones. Codes are stable."""

from __future__ import annotations

from typing import Final

from shared import problem_kinds
from shared.runtime.http import cursor
from shared.runtime.problems import ProblemCatalogue

PROBLEMS: Final = ProblemCatalogue()
PROBLEMS.carry(
    {
        "item_id": problem_kinds.TEXT,
        "location_id": problem_kinds.TEXT,
        "nearest": problem_kinds.NEAREST,
        "reservation_id": problem_kinds.TEXT,
        "units": {**problem_kinds.TEXTS, "description": "The units that the item was recorded in"},
        "expected_sequence": {**problem_kinds.WHOLE, "description": "From where on head office lacks the events"},
        "sequence": {**problem_kinds.WHOLE, "description": "Where the two logs differ"},
        "epoch": {**problem_kinds.WHOLE, "description": "The epoch in which the log goes on"},
    }
)

_SEE_LOCATIONS: Final = (
    "See 'larder head-office locations list', or GET /v1/locations; "
    "an admin adds one with 'larder head-office locations add', or POST."
)

LOCATION_NOT_FOUND: Final = PROBLEMS.declare(
    "location-not-found", 404, "There is no such location here", _SEE_LOCATIONS
)
UNKNOWN_LOCATION: Final = PROBLEMS.adopt(problem_kinds.UNKNOWN_LOCATION, hint=_SEE_LOCATIONS)
LOCATION_EXISTS: Final = PROBLEMS.declare(
    "location-exists",
    409,
    "The location is there already",
    "Choose another id, or change it with PUT. A key that got lost is replaced with POST /v1/keys.",
)
REPORT_NOT_MADE: Final = PROBLEMS.declare(
    "report-not-made",
    404,
    "No report of that morning was made",
    "See GET /v1/reports/purchasing/mornings. It is made at each location's report_time, from the day on which the "
    "location was added; a report of any other moment is had with as_of and known_at.",
)
ITEM_NOT_FOUND: Final = PROBLEMS.adopt(problem_kinds.ITEM_NOT_FOUND)
UNKNOWN_ITEM: Final = PROBLEMS.adopt(
    problem_kinds.UNKNOWN_ITEM, hint="See GET /v1/items; a manager of the group adds one with PUT."
)
LEVEL_NOT_FOUND: Final = PROBLEMS.adopt(problem_kinds.LEVEL_NOT_FOUND)
UNKNOWN_RESERVATION: Final = PROBLEMS.adopt(problem_kinds.UNKNOWN_RESERVATION)
UNIT_FIXED: Final = PROBLEMS.adopt(problem_kinds.UNIT_FIXED)
NOT_WAITING: Final = PROBLEMS.declare(
    "not-waiting", 404, "No such item of a branch waits for head office", "See GET /v1/items-waiting."
)
UNIT_DIFFERS: Final = PROBLEMS.adopt(
    problem_kinds.UNIT_DIFFERS, hint="Map it to an item of the same unit, or accept it as an item of its own."
)
UNKNOWN_KEY: Final = PROBLEMS.adopt(problem_kinds.UNKNOWN_KEY)
LAST_ADMIN_KEY: Final = PROBLEMS.declare(
    "last-admin-key", 409, "This is the last key of an administrator", "Issue another admin key first."
)
KEY_REVOKED: Final = PROBLEMS.adopt(problem_kinds.KEY_REVOKED)
BAD_BATCH: Final = PROBLEMS.declare(
    "bad-batch", 400, "The body is not a whole batch of events", "Pack and send the batch again from the log."
)
GAP: Final = PROBLEMS.declare("gap", 409, "Events before this batch are missing", "Ship from 'expected_sequence' on.")
FORKED: Final = PROBLEMS.declare(
    "forked",
    409,
    "The branch's log is not the one head office has",
    "Stop shipping and send hello; a person recovers the branch with 'larder branch recover'.",
)
SUPERSEDED: Final = PROBLEMS.declare(
    "superseded",
    409,
    "Another node continued this location's log in a later epoch",
    "Stop this node, or recover it with 'larder branch recover'.",
)
NOTHING_KNOWN: Final = PROBLEMS.declare(
    "nothing-known", 404, "Nothing is known of that item there", "See GET /v1/stock for what is known."
)
BODY_TOO_SLOW: Final = PROBLEMS.declare(
    "body-too-slow", 408, "The body took too long to arrive", "Send a smaller batch, or try again on a better line."
)
BAD_CURSOR: Final = PROBLEMS.adopt(cursor.BAD_CURSOR)
KEY_REUSED: Final = PROBLEMS.adopt(problem_kinds.KEY_REUSED)
INVALID_KEY: Final = PROBLEMS.adopt(problem_kinds.INVALID_KEY)
INVALID_TIME: Final = PROBLEMS.adopt(
    problem_kinds.INVALID_TIME,
    hint="Name a moment that is ahead, or leave it out to hold the order for the source's hold_days.",
)
FUTURE_DATE: Final = PROBLEMS.adopt(problem_kinds.FUTURE_DATE)
UNKNOWN_ORDER: Final = PROBLEMS.adopt(
    problem_kinds.UNKNOWN_ORDER,
    hint="See 'larder head-office orders list', or GET /v1/inbound/orders; a branch that is told directly has its own.",
)
UNKNOWN_TOLD_ORDER: Final = PROBLEMS.vary(
    UNKNOWN_ORDER,
    409,
    hint="Name the location that it left or came back to in data.location_id; or send this event again once the order "
    "was placed.",
)
ORDER_ELSEWHERE: Final = PROBLEMS.declare(
    "order-elsewhere",
    409,
    "Another location has the order",
    "Leave data.location_id out, or name the one in 'location_id'; cancel the order to place it anew under another id.",
)
TOO_MANY_ORDER_EVENTS: Final = PROBLEMS.declare(
    "too-many-order-events", 409, "Too much was told of this order", "Go on under another order id."
)
TOO_MANY_OPEN_ORDERS: Final = PROBLEMS.declare(
    "too-many-open-orders",
    409,
    "Too many orders of this source wait for an answer",
    "See which branch is away: 'larder head-office orders list --state ASKED'. Tell of this one again later.",
)
INVALID_SIGNATURE: Final = PROBLEMS.adopt(
    problem_kinds.INVALID_SIGNATURE,
    hint="Sign 'webhook-id.webhook-timestamp.body' with the source's secret, as Standard Webhooks has it, and check "
    "the address: 'larder head-office sources list' names the sources.",
)
SIGNATURE_EXPIRED: Final = PROBLEMS.adopt(problem_kinds.SIGNATURE_EXPIRED)
SOURCE_EXISTS: Final = PROBLEMS.adopt(
    problem_kinds.SOURCE_EXISTS,
    hint="Give the new one another name; for a new secret rotate it: larder head-office sources rotate SOURCE.",
)
UNKNOWN_SOURCE: Final = PROBLEMS.adopt(problem_kinds.UNKNOWN_SOURCE)
TOO_MANY_SOURCES: Final = PROBLEMS.adopt(
    problem_kinds.TOO_MANY_SOURCES, hint="Remove one: larder head-office sources remove SOURCE."
)
TOO_MANY_SECRETS: Final = PROBLEMS.adopt(problem_kinds.TOO_MANY_SECRETS)
URL_REFUSED: Final = PROBLEMS.adopt(problem_kinds.URL_REFUSED)
SUBSCRIPTION_NOT_FOUND: Final = PROBLEMS.adopt(problem_kinds.SUBSCRIPTION_NOT_FOUND)
TOO_MANY_SUBSCRIPTIONS: Final = PROBLEMS.adopt(problem_kinds.TOO_MANY_SUBSCRIPTIONS)
UNKNOWN_MESSAGE: Final = PROBLEMS.adopt(problem_kinds.UNKNOWN_MESSAGE)
CURSOR_AHEAD: Final = PROBLEMS.adopt(problem_kinds.CURSOR_AHEAD)
REPORT_TOO_LARGE: Final = PROBLEMS.declare(
    "report-too-large",
    422,
    "The report has more rows than a file of that format holds",
    "Ask for format=csv, for format=xlsx instead of a PDF, or for one location with location_id.",
)
