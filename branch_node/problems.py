"""The problem codes of a branch node, beside the common ones of `shared.runtime.problems`. Codes are stable."""

from __future__ import annotations

from typing import Final

from shared import problem_kinds
from shared.runtime.http import cursor
from shared.runtime.problems import ProblemCatalogue

PROBLEMS: Final = ProblemCatalogue()
_declare = PROBLEMS.declare
_TEXT, _WHOLE = problem_kinds.TEXT, problem_kinds.WHOLE
PROBLEMS.carry(
    {
        "item_id": _TEXT,
        "nearest": problem_kinds.NEAREST,
        "unit": {**_TEXT, "description": "The item's base unit"},
        "area": {"type": ["string", "null"], "description": "The area of the count; null: the whole"},
        "sequence": {**_WHOLE, "description": "The event that stands against it"},
        "voided_by": {**_WHOLE, "description": "The sequence of the void"},
        "standing": {**_WHOLE, "description": "How many events of the same command still stand"},
        "event_type": _TEXT,
        "revision": {**_WHOLE, "description": "The newest revision of the order that is recorded"},
        "below_zero_at": {
            "type": "object",
            "description": "The place at which the item would be below zero; without a sequence it is this event's own",
            "properties": {"occurred_at": _TEXT, "sequence": {"type": ["integer", "null"]}},
        },
        "short": {
            "type": "array",
            "description": "Each item of which less is available than is asked for beyond what the order holds",
            "items": {
                "type": "object",
                "properties": {
                    "item_id": _TEXT,
                    "unit": _TEXT,
                    "asked": {"type": "number"},
                    "available": {"type": "number"},
                },
            },
        },
        "reservation_id": _TEXT,
        "state": {**_TEXT, "description": "How the reservation ended: CONFIRMED, RELEASED or EXPIRED"},
        "asked": {"type": "number", "description": "What was to be confirmed of the item"},
        "open": {"type": "number", "description": "What the reservation has open of the item"},
        "now": {**_TEXT, "description": "The node's time"},
        "transfer_id": _TEXT,
        "import_id": {**_TEXT, "description": "The import that stands against it"},
        "began_at": {**_TEXT, "description": "When that import began"},
        "sha256": {**_TEXT, "description": "The digest of the file of that import"},
        "stock": {"type": "object", "description": "The item's stock as it is, as GET /v1/stock/{item_id} answers it"},
        "items": {**problem_kinds.TEXTS, "description": "The items that have this barcode"},
        "purchase_order_id": _TEXT,
        "line_item_id": {**_TEXT, "description": "The item that the order's line is of"},
    }
)

INVALID_QUANTITY: Final = _declare(
    "invalid-quantity",
    422,
    "A quantity that cannot be",
    "Send a JSON number or a decimal string in ASCII digits, without exponent, with at most three decimals.",
)
INVALID_TIME: Final = PROBLEMS.adopt(
    problem_kinds.INVALID_TIME,
    hint="Send RFC 3339 with the offset from UTC, such as 2026-01-31T12:30:00+02:00, or leave it out for now.",
)
FUTURE_DATE: Final = PROBLEMS.adopt(
    problem_kinds.FUTURE_DATE,
    hint="Correct the time; if this node's clock is wrong, see 'larder branch clock show'.",
)
CLOCK_UNCONFIRMED: Final = _declare(
    "clock-unconfirmed",
    409,
    "The clock of this node is unconfirmed",
    "Set the computer's clock right, then run 'larder branch clock confirm'; head office's time confirms it, too.",
)
CLOCK_OUT_OF_RANGE: Final = _declare(
    "clock-out-of-range",
    409,
    "The computer's clock cannot be right",
    "Set the computer's clock, then confirm it.",
)
TYPE_NOT_BY_HAND: Final = _declare(
    "type-not-by-hand",
    422,
    "This type is not recorded by hand",
    "Use the command that makes it: transfers, reservations, voids, reviews and items have their own addresses.",
)
UNKNOWN_ITEM: Final = PROBLEMS.adopt(
    problem_kinds.UNKNOWN_ITEM,
    hint="Take one of the codes in 'nearest', or define the item first: PUT /v1/items/{item_id}.",
)
ITEM_NOT_FOUND: Final = PROBLEMS.adopt(
    problem_kinds.ITEM_NOT_FOUND, hint="Take one of the codes in 'nearest'; GET /v1/items lists all."
)
UNIT_DIFFERS: Final = PROBLEMS.adopt(
    problem_kinds.UNIT_DIFFERS, hint="Send the quantity in the item's base unit, or as 'entered'."
)
INVALID_EVENT: Final = _declare(
    "invalid-event", 422, "These fields do not make an event", "See /docs for what each type carries."
)
INVALID_KEY: Final = PROBLEMS.adopt(
    problem_kinds.INVALID_KEY,
    hint="Send 1 to 200 printable characters that do not begin with 'transfer:' or 'larder:'.",
)
KEY_REUSED: Final = PROBLEMS.adopt(
    problem_kinds.KEY_REUSED, hint="Give this command a new key; what the key recorded stands."
)
UNKNOWN_EVENT: Final = _declare(
    "unknown-event", 404, "There is no such event here", "Events are listed at GET /v1/events."
)
NOT_VOIDABLE: Final = _declare(
    "not-voidable", 409, "This event cannot be voided", "Record what happened instead; 'hint' says how."
)
ALREADY_VOIDED: Final = _declare(
    "already-voided", 409, "This event is voided already", "Nothing is left to do; to undo the void, record it again."
)
STRICT_ITEM: Final = _declare(
    "strict-item-below-zero",
    409,
    "A strict item would fall below zero",
    "Record the delivery or count that is missing first, then this again; 'below_zero_at' names the point.",
)
UNKNOWN_ORDER: Final = PROBLEMS.adopt(problem_kinds.UNKNOWN_ORDER)
UNKNOWN_TOLD_ORDER: Final = PROBLEMS.vary(
    UNKNOWN_ORDER,
    409,
    hint="Send what the parcel holds in data.lines; or send this event again once the order was placed.",
)
INVALID_SIGNATURE: Final = PROBLEMS.adopt(
    problem_kinds.INVALID_SIGNATURE,
    hint="Sign 'webhook-id.webhook-timestamp.body' with the source's secret, as Standard Webhooks has it, and check "
    "the address: 'larder branch sources list' names the sources.",
)
SIGNATURE_EXPIRED: Final = PROBLEMS.adopt(problem_kinds.SIGNATURE_EXPIRED)
SOURCE_EXISTS: Final = PROBLEMS.adopt(
    problem_kinds.SOURCE_EXISTS,
    hint="Give the new one another name; for a new secret rotate it: larder branch sources rotate SOURCE.",
)
UNKNOWN_SOURCE: Final = PROBLEMS.adopt(problem_kinds.UNKNOWN_SOURCE)
TOO_MANY_SOURCES: Final = PROBLEMS.adopt(
    problem_kinds.TOO_MANY_SOURCES, hint="Remove one: larder branch sources remove SOURCE."
)
TOO_MANY_SECRETS: Final = PROBLEMS.adopt(problem_kinds.TOO_MANY_SECRETS)
ORDER_SUPERSEDED: Final = _declare(
    "order-superseded",
    409,
    "A later revision of this order is recorded",
    "Nothing to do if this one is old; to change the order, send it whole with a higher revision.",
)
ORDER_CANCELLED: Final = _declare(
    "order-cancelled", 409, "This order is cancelled", "Record what was sold after all under a new order id."
)
INVENTORY_UNAVAILABLE: Final = _declare(
    "inventory-unavailable",
    409,
    "Not everything that is asked for is available",
    "Nothing is reserved; the refusal is in the log as unmet demand. Ask for less, or try again under a new key.",
)
UNKNOWN_RESERVATION: Final = PROBLEMS.adopt(problem_kinds.UNKNOWN_RESERVATION)
RESERVATION_ENDED: Final = _declare(
    "reservation-ended",
    409,
    "This reservation has ended",
    "'state' says how. To reserve again for the order, send it whole with a higher revision.",
)
MORE_THAN_OPEN: Final = _declare(
    "more-than-open",
    409,
    "More is to be confirmed than the reservation has open",
    "Confirm at most what is open; what was sent beyond it is an ORDER_DEDUCTION.",
)
TOO_MANY_LINES: Final = _declare(
    "too-many-lines",
    409,
    "The order and its reservation do not fit into one command",
    "Release the reservation first, then send the order again.",
)
TOO_MANY_RESERVATIONS: Final = _declare(
    "too-many-reservations",
    409,
    "Too many reservations are active",
    "Confirm or release some, or give them shorter expiries: GET /v1/reservations?state=ACTIVE lists them.",
)
AREA_DIFFERS: Final = _declare(
    "area-already-counted",
    409,
    "This area was counted under this count already, with another figure",
    'Send the same figure, or the right one with "replace": true.',
)
TOO_MANY_AREAS: Final = _declare(
    "too-many-areas",
    422,
    "The areas of one count do not fit into one event",
    "Count several of them as one area, or shorten their notes.",
)
COUNT_POSTED: Final = _declare(
    "count-posted",
    409,
    "This count of the item is posted already",
    "Count every area of the item again under a new count id; or void the posted count first, and count them again.",
)
UNIT_FIXED: Final = PROBLEMS.adopt(
    problem_kinds.UNIT_FIXED, hint="Define another item in the new unit and adjust both."
)
ITEM_OF_GROUP: Final = _declare(
    "item-of-the-group",
    409,
    "This item comes from head office's catalogue",
    "Change it at head office; the branch takes it over with the next catalogue.",
)
LEVEL_NOT_FOUND: Final = PROBLEMS.adopt(problem_kinds.LEVEL_NOT_FOUND)
PURCHASE_ORDER_NOT_FOUND: Final = PROBLEMS.adopt(
    problem_kinds.PURCHASE_ORDER_NOT_FOUND,
    hint="GET /v1/purchase-orders lists those that were pulled. What was delivered of an order that was not can be "
    "recorded by POST /v1/events with its id and line in 'reference'.",
)
PURCHASE_ORDER_LINE_DIFFERS: Final = _declare(
    "purchase-order-line-differs",
    422,
    "This line of the order is of another item",
    "Name the line of the item that was delivered; what nobody ordered is recorded without a reference to the order.",
)
LEVEL_OF_GROUP: Final = _declare(
    "level-of-the-group",
    409,
    "Head office has a reorder level for this item",
    "Change or remove it at head office; a level of this branch's own acts only where head office has none.",
)
BUSY: Final = _declare(
    "busy", 503, "Too many commands are waiting", "Send the same request again, with the same key, in a moment."
)
NOT_WRITING: Final = _declare(
    "not-writing",
    503,
    "This node is not taking commands now",
    "It is starting or stopping; send the same request again, with the same key, in a moment.",
)
ROLLED_BACK: Final = _declare(
    "rolled-back",
    503,
    "This node's database is older than what it had recorded",
    "Nothing is recorded, reads go on. Put the newest database file back and start the node again.",
)
IMPORT_FILE_DIFFERS: Final = _declare(
    "import-file-differs",
    409,
    "Another file was imported under this name",
    "If rows of it were rejected, mend and import its rejects file. If it is the next export, give it a name of its "
    "own and leave in it only rows that were not imported yet. If the first file was wrong, undo its import.",
)
IMPORT_BEGINS_ANOTHER: Final = _declare(
    "import-begins-another",
    409,
    "This file is the beginning of one that was imported",
    "All its rows are recorded already: nothing is left to do.",
)
IMPORT_KEYS_DIFFER: Final = _declare(
    "import-keys-differ",
    409,
    "The file's rows were known by something else when it was first imported",
    "Keep columns.id and id_scope in the map as they were then; otherwise its rows would be recorded twice. If the map "
    "was wrong then, undo that import first.",
)
IMPORT_BEING_UNDONE: Final = _declare(
    "import-being-undone",
    409,
    "An import from this source is being undone",
    "Finish it with the same command: larder branch imports undo.",
)
IMPORT_INTERRUPTED: Final = _declare(
    "import-interrupted",
    409,
    "This import was undone while its rows were being read",
    "See what became of it: larder branch imports show ID. If it is to be imported again, run the same command.",
)
UNKNOWN_IMPORT: Final = _declare(
    "unknown-import", 404, "There is no such import", "The list of imports names them: larder branch imports list."
)
BAD_CURSOR: Final = PROBLEMS.adopt(cursor.BAD_CURSOR)
CURSOR_AHEAD: Final = PROBLEMS.adopt(problem_kinds.CURSOR_AHEAD)
UNKNOWN_KEY: Final = PROBLEMS.adopt(problem_kinds.UNKNOWN_KEY)
KEY_REVOKED: Final = PROBLEMS.adopt(problem_kinds.KEY_REVOKED)
KEY_OF_GROUP: Final = _declare(
    "key-of-the-group",
    409,
    "Head office issued this key",
    "Rotate or revoke it there: larder head-office keys; this node learns of it at its next contact.",
)
STOCK_CHANGED: Final = _declare(
    "stock-changed",
    412,
    "The item's stock is not what the request was made for",
    "Decide anew on 'stock', then send what is decided with the ETag of this answer in If-Match.",
)
AMBIGUOUS_BARCODE: Final = _declare(
    "ambiguous-barcode", 409, "Several items have this barcode", "Name the item by its code: one of 'items'."
)
URL_REFUSED: Final = PROBLEMS.adopt(problem_kinds.URL_REFUSED)
SUBSCRIPTION_NOT_FOUND: Final = PROBLEMS.adopt(problem_kinds.SUBSCRIPTION_NOT_FOUND)
TOO_MANY_SUBSCRIPTIONS: Final = PROBLEMS.adopt(problem_kinds.TOO_MANY_SUBSCRIPTIONS)
UNKNOWN_MESSAGE: Final = PROBLEMS.adopt(problem_kinds.UNKNOWN_MESSAGE)
