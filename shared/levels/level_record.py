"""Reorder levels in JSON: the request body that sets one, and the record that is answered.

Quantities come as numbers or decimal strings in the item's base unit and go out as JSON numbers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import msgspec

from shared.checked_fields import CheckedCode, quantity_rule
from shared.event_record import Number, SparseRecord
from shared.events import parse_quantity, quantity_json
from shared.levels.reorder_levels import MAX_LEAD_DAYS, ReorderLevel, level_faults
from shared.runtime.http.body_faults import Fault

_SENT = {"type": ["number", "string"]}

AboveZero = Annotated[
    msgspec.Raw,
    msgspec.Meta(description="JSON number or decimal string, above zero", extra_json_schema=_SENT),
    quantity_rule(lowest=1),
]
FromZero = Annotated[
    msgspec.Raw,
    msgspec.Meta(description="JSON number or decimal string, not below zero", extra_json_schema=_SENT),
    quantity_rule(lowest=0),
]
LeadDays = Annotated[int, msgspec.Meta(ge=0, le=MAX_LEAD_DAYS)]


class ReorderLevelBody(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """At `reorder_point` or less the item is to be ordered: up to `order_up_to`, or by `order_quantity`; give one.

    For a `CheckedDecoder`, which keeps the rules of the fields.
    """

    reorder_point: FromZero
    order_up_to: AboveZero | msgspec.UnsetType = msgspec.UNSET
    order_quantity: AboveZero | msgspec.UnsetType = msgspec.UNSET
    supplier_id: CheckedCode | None = None
    pack_size: AboveZero | msgspec.UnsetType = msgspec.UNSET
    lead_days: LeadDays | None = None

    @staticmethod
    def faults_between(good: Mapping[str, Any]) -> Iterator[Fault]:
        """Name what does not go together, of the fields that are good by themselves."""
        if good.keys() >= {"reorder_point", "order_up_to", "order_quantity"}:
            for field, message in level_faults(_level(good)):
                yield {"field": field, "message": message}

    def level(self) -> ReorderLevel:
        """Read the level of a checked body."""
        return _level(msgspec.structs.asdict(self))


def _level(given: Mapping[str, Any]) -> ReorderLevel:
    quantities = {
        name: parse_quantity(bytes(given[name]))
        for name in ("reorder_point", "order_up_to", "order_quantity", "pack_size")
        if given.get(name, msgspec.UNSET) is not msgspec.UNSET
    }
    return ReorderLevel(**quantities, supplier_id=given.get("supplier_id"), lead_days=given.get("lead_days"))


class ReorderLevelRecord(SparseRecord, kw_only=True):
    """A reorder level as it is answered. `location_id` where the service knows several locations.

    `set_here`, at a branch alone: by this branch, as head office has none for the item.
    """

    location_id: str | None = None
    item_id: str
    reorder_point: Number
    order_up_to: Number | None = None
    order_quantity: Number | None = None
    supplier_id: str | None = None
    pack_size: Number | None = None
    lead_days: int | None = None
    set_here: bool | None = None


def level_record(
    item_id: str, level: ReorderLevel, *, location_id: str | None = None, set_here: bool | None = None
) -> ReorderLevelRecord:
    """Make the record of an item's reorder level."""
    return ReorderLevelRecord(
        location_id=location_id,
        item_id=item_id,
        reorder_point=quantity_json(level.reorder_point),
        order_up_to=_number(level.order_up_to),
        order_quantity=_number(level.order_quantity),
        supplier_id=level.supplier_id,
        pack_size=_number(level.pack_size),
        lead_days=level.lead_days,
        set_here=set_here,
    )


def _number(quantity: int | None) -> msgspec.Raw | None:
    return None if quantity is None else quantity_json(quantity)
