"""A request to create a transfer, parsed strictly from the body and checked. Pure.

The id of a transfer is the caller's, else derived from the Idempotency-Key, else new: so the same request has the same
id even at a coordinator whose database was lost, and creates at most one transfer.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from hashlib import sha256
from typing import Annotated, Any, Final
from uuid import UUID, uuid5

import msgspec

from shared.checked_fields import MOMENT_RULE, CheckedId, quantity_rule
from shared.events import MAX_QUANTITY, BadQuantity, Code, Id, parse_quantity, quantity_text
from shared.messages import InstructionLine
from shared.runtime.clock import parse_rfc3339
from shared.runtime.http.body_faults import Fault, FieldRule, faults_of
from shared.runtime.http.strict_json import StrictDecoder
from shared.runtime.problems import invalid_request
from shared.runtime.text.text_faults import code_fault
from transfer_coordinator.office.group_catalogue import GroupCatalogue
from transfer_coordinator.problems import INVALID_KEY, MODE_NOT_OFFERED, SAME_LOCATION, UNKNOWN_ITEM, UNKNOWN_LOCATION
from transfer_coordinator.saga.saga import Mode, Transfer

MAX_BODY: Final = 256 * 1024
MAX_LINES: Final = 200
LONGEST_KEY: Final = 200
_IDS: Final = UUID("5bfb5f0e-5f3b-5d6f-9d0a-6c1f6a3b7e11")
"""The name space of ids derived from Idempotency-Keys. Never changes."""
_TRANSFER_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,63}", re.ASCII)


def _not_offered(mode: str) -> str:
    return f"mode '{mode}': goods that people dispatch and receive are not handled yet"


class KnownMode(StrEnum):
    """The modes that a request may name; the coordinator runs those of `Mode`."""

    IMMEDIATE = "immediate"
    SHIPPED = "shipped"


OfferedMode = Annotated[
    KnownMode,
    msgspec.Meta(extra_json_schema={"enum": [Mode.IMMEDIATE.value]}),
    FieldRule(lambda mode: None if mode == Mode.IMMEDIATE.value else _not_offered(mode), (Mode.IMMEDIATE.value,)),
]


def _transfer_id_fault(text: str) -> str | None:
    if _TRANSFER_ID.fullmatch(text):
        return None
    return "1 to 64 ASCII letters, digits and . _ : -, the first a letter or a digit"


def _same(location_id: str) -> Fault:
    return {"field": "destination", "message": f"both are {location_id}"}


class _Body(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Read with a StrictDecoder."""


class LineWanted(_Body, frozen=True, kw_only=True):
    """How much of one item, in its base unit: a JSON number or decimal text above zero, at most three decimals."""

    item_id: CheckedId
    quantity: Annotated[msgspec.Raw, quantity_rule(lowest=1)]


class TransferWanted(_Body, frozen=True, kw_only=True):
    """The body of POST /v1/transfers. `deadline` is RFC 3339: past it the transfer is cancelled."""

    source: CheckedId
    destination: CheckedId
    mode: OfferedMode
    lines: Annotated[list[LineWanted], msgspec.Meta(min_length=1, max_length=MAX_LINES)]
    transfer_id: Annotated[Id, FieldRule(_transfer_id_fault)] | None = None
    deadline: Annotated[Code, MOMENT_RULE] | None = None

    @staticmethod
    def faults_between(given: Mapping[str, Any]) -> Iterator[Fault]:
        source, destination = given.get("source"), given.get("destination")
        if source is not None and source == destination:
            yield _same(source)
        yield from faults_of(_quantities, given.get("lines", ()))


read_body: Final = StrictDecoder(TransferWanted, max_bytes=MAX_BODY)


class TransferRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A request, checked as far as possible without the catalogue; quantities are thousandths by item."""

    transfer_id: str
    source: str
    destination: str
    quantities: dict[str, int]
    deadline: int | None

    @property
    def digest(self) -> str:
        """SHA-256 (hex) of the content: two requests under one key must have the same."""
        content = (self.source, self.destination, Mode.IMMEDIATE, sorted(self.quantities.items()), self.deadline)
        return sha256(msgspec.json.encode(content)).hexdigest()


def check_request(body: TransferWanted, key: str | None, new_id: str) -> TransferRequest:
    """Check a parsed body. Raises Problem 422."""
    for field in ("source", "destination"):
        _check_code(field, getattr(body, field))
    if Mode.IMMEDIATE.value != body.mode:
        said = _not_offered(body.mode)
        raise MODE_NOT_OFFERED(said, errors=[{"field": "mode", "message": said, "allowed": [Mode.IMMEDIATE.value]}])
    if body.source == body.destination:
        fault = _same(body.source)
        raise SAME_LOCATION(fault["message"], errors=[fault])
    quantities = _quantities(body.lines)
    return TransferRequest(
        transfer_id=_transfer_id(body.transfer_id, key, new_id),
        source=body.source,
        destination=body.destination,
        quantities=quantities,
        deadline=_deadline(body.deadline),
    )


def _quantities(lines: Sequence[LineWanted]) -> dict[str, int]:
    """Thousandths by item. Raises Problem 422 `invalid-request`."""
    quantities: dict[str, int] = {}
    for place, line in enumerate(lines):
        _check_code(f"lines[{place}].item_id", line.item_id)
        try:
            quantity = parse_quantity(line.quantity, lowest=1)
        except BadQuantity as error:
            invalid_request(f"lines[{place}].quantity", str(error))
        quantities[line.item_id] = quantities.get(line.item_id, 0) + quantity
        if quantities[line.item_id] > MAX_QUANTITY:
            invalid_request(f"lines[{place}].quantity", f"in all more than {quantity_text(MAX_QUANTITY)}")
    return quantities


def transfer_of(request: TransferRequest, known: GroupCatalogue) -> Transfer:
    """The transfer, with every item's unit. Raises Problem 422 `unknown-location` or `unknown-item`."""
    for name in (request.source, request.destination):
        if name not in known.locations:
            raise UNKNOWN_LOCATION(f"no location {name} is known", location_id=name)
    lines = []
    for number, (item_id, quantity) in enumerate(request.quantities.items(), start=1):
        unit = known.items.get(item_id)
        if unit is None:
            raise UNKNOWN_ITEM(f"head office has no item {item_id}", item_id=item_id)
        lines.append(InstructionLine(line=number, item_id=item_id, quantity=quantity, unit=unit))
    return Transfer(
        transfer_id=request.transfer_id,
        source=request.source,
        destination=request.destination,
        lines=tuple(lines),
        deadline=request.deadline,
    )


def check_key(key: str | None) -> str | None:
    """Check the caller's Idempotency-Key. Raises Problem 422 `invalid-idempotency-key`."""
    if key is not None and (not 1 <= len(key) <= LONGEST_KEY or not key.isascii() or code_fault(key) is not None):
        raise INVALID_KEY(f"it is not 1 to {LONGEST_KEY} printable ASCII characters")
    return key


def _transfer_id(given: str | None, key: str | None, new_id: str) -> str:
    if given is None:
        return new_id if key is None else str(uuid5(_IDS, key))
    if (fault := _transfer_id_fault(given)) is not None:
        invalid_request("transfer_id", fault)
    return given


def _deadline(text: str | None) -> int | None:
    if text is None:
        return None
    try:
        return parse_rfc3339(text)[0]
    except ValueError as error:
        invalid_request("deadline", str(error))


def _check_code(field: str, code: str) -> None:
    if fault := code_fault(code):
        invalid_request(field, fault)
