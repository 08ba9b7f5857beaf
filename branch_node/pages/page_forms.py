"""The forms of the branch's pages: reading them into the content of commands, and their faults in plain words. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final, NamedTuple
from zoneinfo import ZoneInfo

import msgspec

from branch_node.commands.correction_inputs import CorrectionContent, VoidInput, void_of
from branch_node.commands.event_inputs import EventContent, EventInput, entry_of
from branch_node.model import Item, nearest_item_codes
from shared.events import MAX_LINES, EventType
from shared.purchases.delivered_lines import PURCHASE_ORDER
from shared.runtime.clock import format_rfc3339
from shared.runtime.http.strict_json import StrictDecoder
from shared.runtime.pages.words import BadLocalTime, holds_words, local_moment
from shared.runtime.problems import Problem
from shared.runtime.text.decimal_comma import CommaFault, decimal_point
from shared.runtime.text.nearest_codes import MOST_SUGGESTIONS

SOURCE: Final = "page"
"""The `source` of events recorded on a page."""

MAX_NOTE: Final = 1_000
MAX_BODY: Final = 64 * 1024
_decode: Final = StrictDecoder(EventInput, max_bytes=MAX_BODY)
_decode_void: Final = StrictDecoder(VoidInput, max_bytes=MAX_BODY)


class FormKind(StrEnum):
    """The forms that record; the value is part of the page's path."""

    DEDUCTION = "deduction"
    WASTE = "waste"
    DELIVERY = "delivery"
    COUNT = "count"


class KindLabels(NamedTuple):
    """The labels of a form. `types` are its event types, each with a name; the first is the default."""

    name: str
    amount: str
    button: str
    types: tuple[tuple[EventType, str], ...]
    reasons: tuple[tuple[str, str], ...] = ()


KINDS: Final = {
    FormKind.DEDUCTION: KindLabels(
        "Deduction",
        "How much was taken",
        "Record the deduction",
        ((EventType.ORDER_DEDUCTION, "Sold"), (EventType.INTERNAL_USE, "Own use: staff meal, tasting")),
    ),
    FormKind.WASTE: KindLabels(
        "Waste",
        "How much waste",
        "Record the waste",
        ((EventType.WASTE_RECORDED, "Waste"),),
        (
            ("expired", "Past its date"),
            ("spoiled", "Spoiled"),
            ("broken", "Broken or spilled"),
            ("kitchen-error", "Kitchen error, sent back"),
            ("left-over", "Made and not sold"),
            ("other", "Something else: see the note"),
        ),
    ),
    FormKind.DELIVERY: KindLabels(
        "Delivery", "How much came in", "Record the delivery", ((EventType.PURCHASE_RECEIVED, "Delivery"),)
    ),
    FormKind.COUNT: KindLabels("Count", "How much is there", "Record the count", ((EventType.STOCKTAKE, "Count"),)),
}

VOID_REASONS: Final = (
    ("mistake", "Typed wrongly"),
    ("duplicate", "Recorded twice"),
    ("not-happened", "Did not happen"),
    ("other", "Something else: see the note"),
)


ONE_EVENT: Final = "one"
"""The value of the field `scope` that voids one event alone; without it the whole command is voided."""


class FormFault(NamedTuple):
    """A fault of a field or a form, with a hint what to do."""

    detail: str
    hint: str = ""


@dataclass(frozen=True)
class FormView:
    """A form as shown: the values typed, the faults by field, and the field with the focus.

    `refused` is a fault of the whole form. `nearest` are items that may have been meant.
    """

    values: Mapping[str, str]
    faults: Mapping[str, FormFault] = field(default_factory=dict)
    focus: str | None = None
    refused: FormFault | None = None
    nearest: tuple[Item, ...] = ()


class FormRefusal(Exception):
    """The form cannot be recorded as it is."""

    def __init__(
        self, faults: Mapping[str, FormFault], refused: FormFault | None = None, nearest: Iterable[Item] = ()
    ) -> None:
        super().__init__(", ".join(faults) or (refused.detail if refused else ""))
        self.faults = dict(faults)
        self.refused = refused
        self.nearest = tuple(nearest)

    def view(self, values: Mapping[str, str]) -> FormView:
        """The refused form with the values typed."""
        focus = next((name for name in FIELDS if name in self.faults), next(iter(self.faults), None))
        return FormView(values, self.faults, focus, self.refused, self.nearest)


FIELDS: Final = ("item", "quantity", "unit", "type", "reason", "note", "order", "line", "when")
"""The fields in the order they stand on the page, for forms whose faults do not come in that order."""

# Form fields by the field names in a problem's `errors`, and by the code of a problem without them.
_FIELD_OF: Final = {
    "item_id": "item",
    "quantity": "quantity",
    "counted": "quantity",
    "unit": "unit",
    "type": "type",
    "reason": "reason",
    "note": "note",
    "reference.id": "order",
    "reference.line": "line",
    "occurred_at": "when",
}
_FIELD_OF_CODE: Final = {
    "unknown-item": "item",
    "unit-differs": "unit",
    "strict-item-below-zero": "quantity",
    "future-date": "when",
    "invalid-time": "when",
}
# Hints for a page, in place of the API's hints about JSON and paths.
_HINTS: Final = {
    "invalid-quantity": "Write it like 12 or 12.5, with at most three decimals.",
    "unknown-item": "Choose one from the list; an item that is missing there is added by head office or a manager.",
    "unit-differs": "Convert it, or choose the unit that the item is kept in.",
    "invalid-request": "Correct it, then send the form again.",
    "strict-item-below-zero": "Record the delivery or count that is missing first, then this again.",
    "invalid-time": "Leave it empty for now.",
    "busy": "Send the form again in a moment. It counts once.",
    "not-writing": "The node is starting or stopping. Send the form again in a moment; it counts once.",
    "database-busy": "Send the form again in a moment. It counts once.",
    "database-unavailable": "Send the form again once the database is back. It counts once.",
    "disk-full": "Make room on the disk, then send the form again. It counts once.",
}


def recorded_something_else(values: Mapping[str, str]) -> FormView:
    """The form again after its key had recorded something else; `values` has a new key."""
    fault = FormFault(
        "This form recorded something else before, which stands.",
        "Look at what was recorded last. Send the form again if this is to be recorded as well.",
    )
    return FormView(values, refused=fault)


def refused_by(
    problem: Problem, fields: Mapping[str, str] = _FIELD_OF, fields_by_code: Mapping[str, str] = _FIELD_OF_CODE
) -> FormRefusal:
    """A Problem of a command as faults of the fields it concerns.

    `fields` names the form's fields by the names in the problem's `errors`, `fields_by_code` by the code of a problem
    without them.
    """
    hint = _HINTS.get(problem.code, problem.hint)
    if problem.extras.get("standing"):
        hint = "Others of its command still stand: choose All of it."
    faults: dict[str, FormFault] = {}
    for error in problem.extras.get("errors", ()):
        name = fields.get(error["field"])
        if name is not None:
            faults.setdefault(name, FormFault(sentence(error["message"]), hint))
    if not faults and problem.code in fields_by_code:
        faults[fields_by_code[problem.code]] = FormFault(sentence(problem.detail), hint)
    if faults:
        return FormRefusal(faults)
    return FormRefusal({}, FormFault(sentence(problem.detail or problem.title), hint))


def read_record(kind: FormKind, form: Mapping[str, str], items: Mapping[str, Item], zone: ZoneInfo) -> EventContent:
    """The content of the event that a form records. Raises FormRefusal."""
    labels = KINDS[kind]
    faults: dict[str, FormFault] = {}
    nearest: list[Item] = []
    item = find_item(form["item"], items)
    if not form["item"]:
        faults["item"] = FormFault("Which item?", "Choose one from the list, or type its name or code.")
    elif item is None:
        nearest = nearest_items(form["item"], items)
        faults["item"] = FormFault(f"There is no item “{form['item'][:100]}” here.", _HINTS["unknown-item"])
    amount = form["quantity"]
    if not amount:
        faults["quantity"] = FormFault("How much?", _HINTS["invalid-quantity"])
    else:
        try:
            amount = decimal_point(amount)
        except CommaFault as fault:
            faults["quantity"] = FormFault(fault.detail, fault.hint)
    types = {kind.value: kind for kind, _ in labels.types}
    wanted = types.get(form["type"], labels.types[0][0])
    if labels.reasons and not form["reason"]:
        faults["reason"] = FormFault("Why was it thrown away?", "Choose the reason that comes nearest.")
    if len(form["note"]) > MAX_NOTE:
        faults["note"] = FormFault(f"The note has {len(form['note'])} characters.", f"Keep it to {MAX_NOTE}.")
    line = _order_line(form, faults) if kind is FormKind.DELIVERY else None
    when = occurred_at(form["when"], zone, faults)
    if faults or item is None:
        raise FormRefusal(faults, nearest=nearest)
    body: dict[str, Any] = {
        "type": wanted,
        "item_id": item.item_id,
        "counted" if kind is FormKind.COUNT else "quantity": amount,
        "source": SOURCE,
    }
    body |= {name: form[name] for name in ("unit", "note") if form[name]}
    if labels.reasons:
        body["reason"] = form["reason"]
    if line is not None:
        body["reference"] = {"kind": PURCHASE_ORDER, "id": form["order"], "line": line}
    if when is not None:
        body["occurred_at"] = when
    try:
        return entry_of(_decode(msgspec.json.encode(body)))
    except Problem as problem:
        raise refused_by(problem) from problem


def _order_line(form: Mapping[str, str], faults: dict[str, FormFault]) -> int | None:
    """The line of the order to a supplier that a delivery is of; None where it is of no order."""
    order, typed = form["order"], form["line"]
    if order and not typed:
        faults["line"] = FormFault("Which line of the order?", "Its number, from 1; the delivery note has it.")
    elif typed and not order:
        faults["order"] = FormFault("Of which order?", "Write its id, or empty the line as well.")
    elif typed and typed.isascii() and typed.isdigit() and len(typed) < 5 and 1 <= int(typed) <= MAX_LINES:
        return int(typed)
    elif typed:
        faults["line"] = FormFault(f"A line is a whole number from 1 to {MAX_LINES}.", "Write it like 1.")
    return None


def read_void(event_id: str, form: Mapping[str, str]) -> CorrectionContent:
    """The content of the void that a form records. Raises FormRefusal."""
    if not form["reason"]:
        raise FormRefusal({"reason": FormFault("Why is it voided?", "Choose the reason that comes nearest.")})
    if len(form["note"]) > MAX_NOTE:
        raise FormRefusal(
            {"note": FormFault(f"The note has {len(form['note'])} characters.", f"Keep it to {MAX_NOTE}.")}
        )
    body: dict[str, Any] = {name: form[name] for name in ("reason", "note") if form[name]}
    body["whole"] = form["scope"] != ONE_EVENT
    try:
        return void_of(event_id, _decode_void(msgspec.json.encode(body)))
    except Problem as problem:
        raise refused_by(problem) from problem


def occurred_at(text: str, zone: ZoneInfo, faults: dict[str, FormFault]) -> str | None:
    """The RFC 3339 text of what the field `when` holds; None where it is empty, and for a fault, which is added."""
    if not text:
        return None
    try:
        return format_rfc3339(local_moment(text, zone))
    except BadLocalTime as error:
        faults["when"] = FormFault(sentence(str(error)), _HINTS["invalid-time"])
        return None


def find_item(text: str, items: Mapping[str, Item]) -> Item | None:
    """The item with this code or name, ignoring case; None where there is none or more than one."""
    if text in items:
        return items[text]
    wanted = text.casefold()
    found = [item for item in items.values() if wanted in (item.item_id.casefold(), item.name.casefold())]
    return found[0] if len(found) == 1 else None


def nearest_items(text: str, items: Mapping[str, Item]) -> list[Item]:
    """Items that may have been meant: those that contain the text, then those with similar codes or names."""
    containing = [item.item_id for item in search_items(text, items.values())[:MOST_SUGGESTIONS]]
    codes = dict.fromkeys([*containing, *nearest_item_codes(text, items.values())])
    return [items[code] for code in codes][:MOST_SUGGESTIONS]


def search_items(text: str, items: Iterable[Item]) -> list[Item]:
    """The items with every word of the text in their code, name, category or barcode, by name."""
    found = [item for item in items if holds_words(text, (item.item_id, item.name, item.category, item.barcode))]
    return sorted(found, key=lambda item: (item.name.casefold(), item.item_id))


def sentence(text: str) -> str:
    """The text as a sentence: first letter in upper case, one full stop at the end."""
    text = text.removesuffix(".")
    return f"{text[:1].upper()}{text[1:]}."
