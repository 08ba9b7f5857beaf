"""The counts that a branch had not closed at its last hello, as they are answered."""

from __future__ import annotations

import msgspec

from head_office.reports.freshness import Freshness
from shared.event_record import Moment, Number, moment_text
from shared.events import quantity_json


class OpenAreaOut(msgspec.Struct, frozen=True, omit_defaults=True):
    """An area of a count that is not posted yet; without `area` the whole of the item."""

    item_id: str
    counted: Number
    area: str | None = None
    actor: str | None = None


class OpenCountOut(msgspec.Struct, frozen=True):
    """A count that the branch had not closed at its last call: what is in it counts nowhere yet."""

    count_id: str
    opened_at: Moment
    areas: list[OpenAreaOut]


def open_counts_out(found: Freshness) -> list[OpenCountOut]:
    """The counts that a location's branch had not closed at its last call, as they are answered."""
    return [
        OpenCountOut(
            each.count_id,
            moment_text(each.opened_at),
            [OpenAreaOut(area.item_id, quantity_json(area.counted), area.area, area.actor) for area in each.areas],
        )
        for each in found.open_counts
    ]
