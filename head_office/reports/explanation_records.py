"""How head office writes the explanation of a figure: its parts as JSON, and their schema."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from head_office.reports.explanations import Explained, LocationExplanation, Passed
from head_office.reports.report_records import BOOLEAN, EVENT_SCHEMA, INTEGER, NULLABLE, NUMBER, TEXT, or_none
from shared.event_record import event_record
from shared.events import quantity_json
from shared.stock import Balance


def _explained(step: Explained) -> dict[str, Any]:
    after = {"on_hand": quantity_json(step.on_hand), "reserved": quantity_json(step.reserved)}
    if step.expected is not None:
        after["expected"] = quantity_json(step.expected)
    return {"event": event_record(step.event), "recorded_as": step.event.item_id, "after": after}


def _passed(passed: Passed) -> dict[str, Any]:
    found = {"event": event_record(passed.event), "recorded_as": passed.event.item_id, "reason": passed.reason}
    return found if passed.by_sequence is None else {**found, "by_sequence": passed.by_sequence}


def _opening(balance: Balance) -> dict[str, Any]:
    return {"on_hand": quantity_json(balance.on_hand), "reserved": quantity_json(balance.reserved)}


def explanation_out(found: LocationExplanation) -> dict[str, Any]:
    """The explanation of a figure: the sum over the codes of an item at a location, `recorded_as` and `other_codes`."""
    return {
        "item_id": found.item_id,
        "location_id": found.location_id,
        "recorded_as": found.codes[0],
        "other_codes": found.codes[1:],
        "unit": found.unit,
        "as_of": or_none(found.as_of),
        "known_at": or_none(found.cut.known_at),
        "known_through": found.cut.sequences.get(found.location_id, 0),
        "from": or_none(found.begin),
        "to": or_none(found.end),
        "opening": None if found.opening is None else _opening(found.opening),
        "on_hand": quantity_json(found.on_hand),
        "reserved": quantity_json(found.reserved),
        "available": quantity_json(found.available),
        "variance": quantity_json(found.variance),
        "recount": found.recount,
        "incomplete": bool(found.quarantined),
        "start": None if found.start is None else _explained(found.start),
        "steps": [_explained(each) for each in found.steps],
        "not_counted": [_passed(each) for each in found.not_counted],
        "quarantined": [msgspec.to_builtins(each) for each in found.quarantined],
        "left_out": found.left_out,
    }


_STEP_SCHEMA: Final = {
    "type": "object",
    "description": "An event that counts, and the figures after it; `expected` is what the book said before a count",
    "properties": {
        "event": EVENT_SCHEMA,
        "recorded_as": TEXT,
        "after": {"type": "object", "properties": {"on_hand": NUMBER, "reserved": NUMBER, "expected": NUMBER}},
    },
}
_PASSED: Final = {"event": EVENT_SCHEMA, "recorded_as": TEXT, "reason": TEXT, "by_sequence": INTEGER}
EXPLANATION_SCHEMA: Final[dict[str, Any]] = {
    **dict.fromkeys(("item_id", "location_id", "recorded_as"), TEXT),
    "other_codes": {"type": "array", "items": TEXT},
    **dict.fromkeys(("unit", "as_of", "known_at", "from", "to"), NULLABLE),
    "opening": {
        "type": ["object", "null"],
        "description": "Of a period, what it began with; the steps are its movements",
        "properties": {"on_hand": NUMBER, "reserved": NUMBER},
    },
    "known_through": INTEGER,
    **dict.fromkeys(("on_hand", "reserved", "available", "variance"), NUMBER),
    **dict.fromkeys(("recount", "incomplete"), BOOLEAN),
    "start": {"anyOf": [_STEP_SCHEMA, {"type": "null"}]},
    "steps": {"type": "array", "items": _STEP_SCHEMA},
    "not_counted": {
        "type": "array",
        "items": {
            "type": "object",
            "properties": {"event": EVENT_SCHEMA, "recorded_as": TEXT, "reason": TEXT, "by_sequence": INTEGER},
        },
    },
    "quarantined": {"type": "array", "items": {"type": "object"}},
    "left_out": INTEGER,
}
