"""The problems of the coordinator, beside those of every service, each with a stable code."""

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
        "transfer_id": problem_kinds.TEXT,
        "state": {**problem_kinds.TEXT, "description": "The state that the transfer is in"},
    }
)

BAD_CURSOR = PROBLEMS.adopt(cursor.BAD_CURSOR)
UNKNOWN_TRANSFER = PROBLEMS.declare(
    "unknown-transfer", 404, "There is no such transfer", "Look for it in GET /v1/transfers."
)
KEY_REUSED = PROBLEMS.adopt(
    problem_kinds.KEY_REUSED, hint="Send the same content with the same key, or another key for another transfer."
)
ALREADY_RECEIVED = PROBLEMS.declare(
    "transfer-already-received",
    409,
    "Goods of the transfer were received already",
    "Send them back by a transfer the other way.",
)
TRANSFER_ENDED = PROBLEMS.declare(
    "transfer-ended", 409, "The transfer has ended", "See 'state'; move the goods by a new transfer if need be."
)
INVALID_KEY = PROBLEMS.adopt(problem_kinds.INVALID_KEY)
UNKNOWN_LOCATION = PROBLEMS.adopt(problem_kinds.UNKNOWN_LOCATION, hint="Add it at head office, or correct the code.")
UNKNOWN_ITEM = PROBLEMS.adopt(
    problem_kinds.UNKNOWN_ITEM,
    hint="Define it at head office, accept or map it there if it is a branch's own, or correct the code.",
)
SAME_LOCATION = PROBLEMS.declare("same-location", 422, "Source and destination are the same", "Name two locations.")
MODE_NOT_OFFERED = PROBLEMS.declare(
    "mode-not-offered",
    422,
    "Transfers of this mode are not offered yet",
    "Send mode 'immediate': both sites' nodes record it by themselves.",
)
DEADLINE_PASSED = PROBLEMS.declare(
    "deadline-passed", 422, "The deadline is over already", "Send a deadline that is still to come, or none."
)
NO_CATALOGUE = PROBLEMS.declare(
    "no-catalogue",
    503,
    "Nothing is known of the group yet",
    "Send the same request again once the coordinator has reached head office.",
)
