"""The forms of reservations: reading them into the content of commands, and their faults in plain words. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from branch_node.commands.reservations.reservation_inputs import (
    MAX_EXPIRY,
    ConfirmationContent,
    ConfirmationInput,
    ReleaseContent,
    ReleaseInput,
    ReservationContent,
    ReservationInput,
    confirmation_content,
    release_content,
    reservation_content,
)
from branch_node.model import Item
from branch_node.pages.page_forms import (
    MAX_BODY,
    SOURCE,
    FormFault,
    FormRefusal,
    find_item,
    nearest_items,
    refused_by,
)
from branch_node.problems import (
    INVENTORY_UNAVAILABLE,
    MORE_THAN_OPEN,
    ORDER_CANCELLED,
    ORDER_SUPERSEDED,
    RESERVATION_ENDED,
    TOO_MANY_RESERVATIONS,
)
from shared.events import MAX_QUANTITY, BadQuantity, parse_quantity, quantity_text
from shared.reservations import ReservationState
from shared.runtime.http.body_faults import naming_every_fault
from shared.runtime.http.strict_json import StrictDecoder
from shared.runtime.problems import Problem
from shared.runtime.text.decimal_comma import CommaFault, decimal_point

FIRST_LINES: Final = 3
MORE_LINES: Final = 5
MOST_FORM_LINES: Final = 20
"""A form has at most 50 fields; an order with more lines is reserved at the command line or over HTTP."""

EXPIRIES: Final = (
    ("900", "15 minutes"),
    ("3600", "1 hour"),
    ("14400", "4 hours"),
    ("86400", "1 day"),
    ("259200", "3 days"),
    ("604800", "1 week"),
    ("1209600", "2 weeks"),
    ("2592000", "30 days"),
)
"""How long a reservation lasts: seconds, and the words for it; the first is the default."""

STATE_WORDS: Final = {
    ReservationState.ACTIVE: "active",
    ReservationState.CONFIRMED: "confirmed",
    ReservationState.RELEASED: "released",
    ReservationState.EXPIRED: "expired",
}

RELEASE_REASONS: Final = (
    ("cancelled", "The order is cancelled"),
    ("not-collected", "It was not collected"),
    ("mistake", "Typed wrongly"),
    ("other", "Something else"),
)

SENT: Final = "sent:"
"""The prefix of a confirmation's fields, each followed by the code of its item."""

_AMOUNT_HINT: Final = "Write it like 12 or 12.5, with at most three decimals."
_decode: Final = StrictDecoder(ReservationInput, max_bytes=MAX_BODY)
_decode_confirmation: Final = StrictDecoder(ConfirmationInput, max_bytes=MAX_BODY)
_decode_release: Final = StrictDecoder(ReleaseInput, max_bytes=MAX_BODY)


def lines_shown(form: Mapping[str, str]) -> int:
    """How many lines the form to reserve shows: as many as it had or has filled in, and some more where asked for."""
    asked = int(form["rows"]) if form["rows"] in _COUNTS else FIRST_LINES
    filled = max((number for number, *_ in _filled(form)), default=0)
    return min(MOST_FORM_LINES, max(asked, filled) + (MORE_LINES if form["more"] else 0))


_COUNTS: Final = frozenset(str(number) for number in range(1, MOST_FORM_LINES + 1))


def _filled(form: Mapping[str, str]) -> Iterator[tuple[int, str, str]]:
    """The number of each line in which something was typed, its item and its quantity."""
    for number in range(1, MOST_FORM_LINES + 1):
        item, quantity = form[f"item-{number}"], form[f"quantity-{number}"]
        if item or quantity:
            yield number, item, quantity


def read_reservation(form: Mapping[str, str], items: Mapping[str, Item]) -> ReservationContent:
    """The content of the reservation that a form states. Raises FormRefusal."""
    faults: dict[str, FormFault] = {}
    if not form["order"]:
        faults["order"] = FormFault("Which order?", "Type its number, or the name that it goes by.")
    lines: list[dict[str, str]] = []
    fields = {"order_id": "order", "source": "source", "revision": "revision", "expires_in": "expires"}
    for number, typed, amount in _filled(form):
        item = _read_item(typed, items, f"item-{number}", faults)
        quantity = read_amount(amount, f"quantity-{number}", faults, lowest=1)
        fields |= {
            f"lines[{len(lines)}].item_id": f"item-{number}",
            f"lines[{len(lines)}].quantity": f"quantity-{number}",
        }
        if item is not None and quantity is not None:
            lines.append({"item_id": item.item_id, "quantity": quantity_text(quantity)})
    if not lines and not faults:
        faults["item-1"] = FormFault("Reserve what?", "Choose an item from the list, or type its name or code.")
    body: dict[str, Any] = {"order_id": form["order"], "source": form["source"] or SOURCE, "lines": lines}
    _read_expiry(form["expires"], body, faults)
    _read_revision(form["revision"], body, faults)
    if faults:
        raise FormRefusal(faults)
    try:
        return naming_every_fault(reservation_content, _decode(msgspec.json.encode(body)))
    except Problem as problem:
        refusal = refused_by(problem, fields, {})
        refusal.faults |= {name: fault for name, fault in _PLAIN.items() if name in refusal.faults}
        raise refusal from problem


_PLAIN: Final = {
    "source": FormFault("A system's name has at most 40 letters, digits, dots, dashes.", "Write it like webshop."),
    "revision": FormFault("A revision is at least 1, at most 1,000,000,000.", "Write it like 2."),
}
"""Faults in words of fields whose fault is told as a rule of JSON."""


def _read_item(typed: str, items: Mapping[str, Item], name: str, faults: dict[str, FormFault]) -> Item | None:
    if not typed:
        faults[name] = FormFault("Which item?", "Choose one from the list, or empty the quantity beside it.")
        return None
    item = find_item(typed, items)
    if item is None:
        near = [f"{each.name} ({each.item_id})" for each in nearest_items(typed, items)[:3]]
        hint = f"Did you mean {' or '.join(near)}?" if near else "Choose one from the list."
        faults[name] = FormFault(f"There is no item “{typed[:100]}” here.", hint)
    return item


def read_amount(typed: str, name: str, faults: dict[str, FormFault], *, lowest: int) -> int | None:
    """The thousandths of a figure as typed; None, and a fault, where it is none."""
    try:
        if not typed:
            raise BadQuantity("how much")
        return parse_quantity(decimal_point(typed), lowest=lowest, highest=MAX_QUANTITY)
    except CommaFault as fault:
        faults[name] = FormFault(fault.detail, fault.hint)
    except BadQuantity as error:
        text = str(error)
        faults[name] = FormFault(f"{text[:1].upper()}{text[1:]}{'.' if typed else '?'}", _AMOUNT_HINT)
    return None


def _read_expiry(typed: str, body: dict[str, Any], faults: dict[str, FormFault]) -> None:
    if not typed:
        return
    if typed.isascii() and typed.isdigit() and len(typed) < 10 and 1 <= int(typed) <= MAX_EXPIRY:
        body["expires_in"] = int(typed)
    else:
        faults["expires"] = FormFault("That is no length of time.", "Choose one from the list.")


def _read_revision(typed: str, body: dict[str, Any], faults: dict[str, FormFault]) -> None:
    if not typed:
        return
    if typed.isascii() and typed.isdigit() and len(typed) < 11:
        body["revision"] = int(typed)
    else:
        faults["revision"] = FormFault("A revision is a whole number.", "Write it like 2, or leave it empty.")


def reservation_refused(problem: Problem, form: Mapping[str, str], items: Mapping[str, Item]) -> FormRefusal:
    """A Problem of reserving as faults of the form's fields: each short line, or what is wrong with the order."""
    extras = problem.extras
    order = f"“{form['order'][:100]}”"
    if problem.code == INVENTORY_UNAVAILABLE.code:
        faults = _short_lines(extras["short"], form, items)
        detail = "Nothing was reserved: not everything is available."
        return FormRefusal(faults, FormFault(detail, "Reserve less, or wait for more to come in; then send it again."))
    if problem.code == ORDER_SUPERSEDED.code:
        revision = int(extras["revision"])
        detail = f"The order {order} was reserved already, with other content, as its revision {revision}."
        hint = f"If the order has changed, state all of it as revision {revision + 1} or higher."
        return FormRefusal({"revision": FormFault(detail, hint)})
    if problem.code == ORDER_CANCELLED.code:
        detail, hint = f"The order {order} is cancelled.", "Reserve what is wanted after all under another order."
        return FormRefusal({"order": FormFault(detail, hint)})
    if problem.code == RESERVATION_ENDED.code:
        return FormRefusal({}, _ended_fault(extras["state"], f"The reservation of the order {order}"))
    if problem.code == TOO_MANY_RESERVATIONS.code:
        hint = "Confirm or release some that are not needed any more; then send this one again."
        return FormRefusal({}, FormFault("Too many reservations are active here.", hint))
    return refused_by(problem, {}, {})


def _short_lines(
    short: list[dict[str, Any]], form: Mapping[str, str], items: Mapping[str, Item]
) -> dict[str, FormFault]:
    """A fault beside the first line of each item of which too little is available."""
    by_item = {each["item_id"]: each for each in short}
    faults = {}
    for number, typed, _ in _filled(form):
        item = find_item(typed, items)
        each = by_item.pop(item.item_id, None) if item is not None else None
        if each is not None:
            detail = f"{each['asked']} {each['unit']} wanted, {each['available']} available."
            faults[f"quantity-{number}"] = FormFault(detail)
    return faults


def _ended_fault(state: str, what: str) -> FormFault:
    words = STATE_WORDS[ReservationState(state)]
    if state == ReservationState.CONFIRMED:
        hint = "For more, raise the order's revision, or take another order where its last parcel was sent."
        return FormFault(f"{what} has ended: all of it is confirmed.", hint)
    hint = "To reserve again for the order, state all of it with a higher revision."
    return FormFault(f"{what} has ended: it is {words}. Nothing was recorded.", hint)


def sent_lines(form: Mapping[str, str]) -> dict[str, str]:
    """What was typed of each item as sent."""
    return {name.removeprefix(SENT): text for name, text in form.items() if name.startswith(SENT)}


def read_confirmation(reservation_id: str, form: Mapping[str, str]) -> ConfirmationContent:
    """The content of a confirmation; without fields of items it is of all that is open. Raises FormRefusal."""
    body: dict[str, Any] = {"rest": form["rest"]} if form["rest"] else {}
    typed = sent_lines(form)
    if typed:
        faults: dict[str, FormFault] = {}
        figures = {
            item_id: read_amount(text, f"{SENT}{item_id}", faults, lowest=0) if text else 0
            for item_id, text in typed.items()
        }
        if faults:
            raise FormRefusal(faults)
        body["lines"] = [
            {"item_id": item_id, "quantity": quantity_text(figure)} for item_id, figure in figures.items() if figure
        ]
        if not body["lines"]:
            detail = FormFault("What was sent?", "Write how much of an item, or release the reservation below.")
            raise FormRefusal({f"{SENT}{next(iter(typed))}": detail})
    try:
        decoded = _decode_confirmation(msgspec.json.encode(body))
        return naming_every_fault(confirmation_content, reservation_id, decoded)
    except Problem as problem:
        raise refused_by(problem, {}, {}) from problem


def read_release(reservation_id: str, form: Mapping[str, str]) -> ReleaseContent:
    """The content of a release. Raises FormRefusal."""
    body = {"reason": form["reason"]} if form["reason"] else {}
    try:
        return naming_every_fault(release_content, reservation_id, _decode_release(msgspec.json.encode(body)))
    except Problem as problem:
        raise refused_by(problem, {"reason": "reason"}, {}) from problem


def ending_refused(problem: Problem, form: Mapping[str, str]) -> FormRefusal:
    """A Problem of confirming or releasing in words; `more-than-open` beside the item's field."""
    extras = problem.extras
    if problem.code == RESERVATION_ENDED.code:
        return FormRefusal({}, _ended_fault(extras["state"], "The reservation"))
    if problem.code == MORE_THAN_OPEN.code:
        detail = f"{extras['asked']} to confirm, and only {extras['open']} still reserved."
        fault = FormFault(detail, "Confirm at most that; what was sent beyond it is recorded as a deduction.")
        item_id = extras["item_id"]
        return FormRefusal({f"{SENT}{item_id}": fault}) if item_id in sent_lines(form) else FormRefusal({}, fault)
    return refused_by(problem, {}, {})
