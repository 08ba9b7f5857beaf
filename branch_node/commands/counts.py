"""The command that records a count: item by item, the areas of one item summed into one event.

A count applies at the moment it was counted, with the quantity expected then beside it; an item without a line is not
counted as zero. While a count is `open` its areas wait in `count_area` and nothing is recorded in the log. Once an item
is posted, a further area of it under the same count is refused, as its event would replace the whole figure.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import Any, Final

import msgspec
from sqlalchemy import Connection

from branch_node.commands.corrections import command_span, decided_at, standing_now
from branch_node.commands.count_areas import (
    AreaCounted,
    AreaRecord,
    MissingArea,
    area_records,
    areas_of_event,
    check_room,
    missing_areas,
    store_areas,
    stored_areas,
)
from branch_node.commands.count_inputs import CountContent, CountLine, keyless
from branch_node.commands.keyed_command import KeyedCommand
from branch_node.commands.preconditions import known_item, moment_of
from branch_node.database.lookups import newest_of_item, recorded_by, standing_then
from branch_node.model import Decision, Item, RecordedCommand, View, Write, unplaced
from branch_node.problems import AREA_DIFFERS, COUNT_POSTED, INVALID_QUANTITY
from branch_node.records import BranchEventRecord, record_of
from shared.chain import Sealed
from shared.event_record import Number
from shared.events import MAX_QUANTITY, Event, EventType, Reference, quantity_json, quantity_text
from shared.stock import fold

OPENING: Final = "opening"
MOVED_SHOWN: Final = 100


class CountedItem(msgspec.Struct, kw_only=True):
    """One item of a posted count. `moved` are the events recorded since the counter saw the book's figure (the newest
    hundred of them), `moved_quantity` is by how much they changed it."""

    item_id: str
    counted: Number
    expected: Number
    variance: Number
    event: BranchEventRecord
    moved_quantity: Number | None = None
    moved: list[BranchEventRecord] = []


class CountAnswer(msgspec.Struct, kw_only=True):
    """What was posted, what waits for the rest of the count, and which areas of the items counted are missing.

    `missing` has the areas that an item's last count had and this one has not, unless it was counted as a whole.
    """

    count_id: str
    items: list[CountedItem]
    waiting: list[AreaRecord] = []
    missing: list[MissingArea] = []


def stocktake(
    view: View, item: Item, *, counted: int, at: int, actor: str, source: str, fields: dict[str, Any]
) -> Event:
    """The event of a count at a moment (microseconds UTC), with the expected quantity there (thousandths).

    An item's first count has the reason `opening`.
    """
    standing = view.standing(item.item_id)
    # For speed: nothing can follow the newest event. `shared.stock` names the test.
    if at >= standing.latest.occurred_at:
        expected = standing.on_hand
    else:
        expected = fold(view.movements(item.item_id), as_of=at).on_hand
    if standing.last_count is None and fields.get("reason") is None:
        fields = fields | {"reason": OPENING}
    return unplaced(
        view,
        EventType.STOCKTAKE,
        actor=actor,
        source=source,
        occurred_at=at,
        item_id=item.item_id,
        counted=counted,
        expected=max(-MAX_QUANTITY, min(expected, MAX_QUANTITY)),
        unit=item.unit,
        **fields,
    )


class RecordCount(KeyedCommand):
    """A count, whole or in several requests. Answered with a `CountAnswer`."""

    kind = "count"

    def __init__(self, content: CountContent, *, key: str | None, actor: str) -> None:
        super().__init__(content, key=key or "", actor=actor)
        # Without a caller's key, equal content is a repetition; other content is a further part of the count.
        self.content = content
        self._derived = not key
        self._keyless = keyless(content.count_id)
        self.key = key or f"{self._keyless}{(self.digest or '')[:32]}"
        self.size = len(content.lines)

    def key_after(self, first: Event, view: View) -> str | None:
        """Without a caller's key: another key where an event that this request recorded was voided since."""
        if not self._derived or self._standing_now(first, view) is not None:
            return None
        return f"{self._keyless}{sha256(f'{self.digest}:{first.sequence}'.encode()).hexdigest()[:32]}"

    def stands_at(self, first: Event, view: View) -> Sequence[int]:
        """Without a caller's key an equal request is answered by what stands now, dated right where it was not."""
        return (self._derived and self._standing_now(first, view)) or ()

    def _standing_now(self, first: Event, view: View) -> list[int] | None:
        start, end = command_span(first)
        return standing_now(view, range(start, end + 1))

    def decide(self, view: View) -> Decision:
        content = self.content
        items = {line.item_id: known_item(view, line.item_id, line.unit) for line in content.lines}
        areas = self._waiting_areas(view)
        changed: list[AreaCounted] = []
        corrected = False
        for place, line in enumerate(content.lines):
            area = self._area(view, line, f"lines[{place}].")
            before = areas.get((area.item_id, area.area))
            if before is not None and before.counted != area.counted and not line.replace:
                raise AREA_DIFFERS(
                    f"{line.area or 'the whole'} of {line.item_id} was counted as {quantity_text(before.counted)}",
                    item_id=line.item_id,
                    area=line.area or None,
                )
            if before is None or line.replace:
                areas[area.item_id, area.area] = area
                changed.append(area)
                corrected = corrected or before is not None
        by_item: dict[str, list[AreaCounted]] = {}
        for area in areas.values():
            by_item.setdefault(area.item_id, []).append(area)
        for item_id in items:
            check_room(by_item[item_id], item_id)
        if content.open:
            names = {item_id: {area.area for area in counted} for item_id, counted in by_item.items()}
            answer = CountAnswer(
                count_id=content.count_id,
                items=[],
                waiting=area_records(areas.values()),
                missing=missing_areas(view.connection, names, view.head.sequence + 1),
            )
            # An equal request stands for an earlier one only until another has changed what the count holds.
            forget = [self._keyless] if changed else []
            kept = msgspec.json.encode(answer)
            return Decision(writes=[self._writing(changed)], answer=answer, kept=kept, forget=forget)
        events, posted = [], []
        for sequence, (item_id, counted) in enumerate(sorted(by_item.items()), start=view.head.sequence + 1):
            item = items.get(item_id) or known_item(view, item_id, None)
            events.append(self._summed(view, item, counted))
            posted += [msgspec.structs.replace(area, posted_sequence=sequence) for area in counted]
        forget = [self._keyless] if corrected else []
        return Decision(events=events, writes=[self._writing(posted)], forget=forget)

    def _waiting_areas(self, view: View) -> dict[tuple[str, str], AreaCounted]:
        """The stored areas that are not posted. Raises 409 `count-posted` where an item of this request is posted."""
        stored = stored_areas(view.connection, self.content.count_id)
        counted = {line.item_id for line in self.content.lines}
        posted = {
            area.posted_sequence: area.item_id
            for area in stored.values()
            if area.posted_sequence is not None and area.item_id in counted
        }
        for sequence in posted.keys() - view.voided_by(list(posted)).keys():
            raise COUNT_POSTED(
                f"the count {self.content.count_id!r} of {posted[sequence]} is event {sequence}",
                item_id=posted[sequence],
                sequence=sequence,
            )
        return {place: area for place, area in stored.items() if area.posted_sequence is None}

    def _writing(self, areas: list[AreaCounted]) -> Write:
        return lambda connection: store_areas(connection, self.content.count_id, areas)

    def _summed(self, view: View, item: Item, areas: list[AreaCounted]) -> Event:
        total = sum(each.counted for each in areas)
        if total > MAX_QUANTITY:
            raise INVALID_QUANTITY(f"the areas of {item.item_id} come to more than {quantity_text(MAX_QUANTITY)}")
        at = max(each.occurred_at for each in areas)
        fields: dict[str, Any] = {"reference": Reference(id=self.content.count_id, kind="count")}
        if self.content.reason is not None:
            fields["reason"] = self.content.reason
        notes = [line.note for line in self.content.lines if line.item_id == item.item_id and line.note]
        if len(areas) > 1:
            # For who reads the note alone; the event's areas have more.
            notes.insert(0, "; ".join(f"{each.area or '-'} {quantity_text(each.counted)}" for each in areas))
        elif areas[0].area:
            fields["area"] = areas[0].area
        if notes:
            fields["note"] = "\n".join(notes)[:1_000]
        fields["areas"] = areas_of_event(areas, actor=self.actor, source=self.content.source)
        return stocktake(view, item, counted=total, at=at, actor=self.actor, source=self.content.source, fields=fields)

    def again(self, kept: bytes) -> CountAnswer:
        return msgspec.json.decode(kept, type=CountAnswer)

    def answer(self, recorded: RecordedCommand) -> CountAnswer:
        """The answer without what moved since the counter saw the figure, which `add_movements` adds."""
        return CountAnswer(
            count_id=self.content.count_id,
            # What was dated anew may stand in another order than it was recorded in.
            items=sorted((_counted(each, recorded) for each in recorded.sealed), key=lambda each: each.item_id),
            missing=_missing(recorded),
        )

    def _area(self, view: View, line: CountLine, path: str) -> AreaCounted:
        at = moment_of(view, line.occurred_at, f"{path}occurred_at")
        moment_of(view, line.seen_at, f"{path}seen_at")  # only for its check of the future
        return AreaCounted(
            item_id=line.item_id,
            area=line.area,
            counted=line.counted,
            occurred_at=at,
            actor=self.actor,
            source=self.content.source,
            note=line.note,
            stored_at=view.now,
        )


def _missing(recorded: RecordedCommand) -> list[MissingArea]:
    """The areas missing in a posted count, by the log alone, so that a repetition has the same answer."""
    areas = {
        each.event.item_id: {area.area or "" for area in each.event.areas}
        for each in recorded.sealed
        if each.event.item_id is not None and each.event.areas
    }
    if all("" in given for given in areas.values()):
        return []
    connection, first = recorded.look(), recorded.sealed[0].event
    return missing_areas(connection, areas, decided_at(connection, first.sequence, first.line, first.lines))


def _counted(sealed: Sealed, recorded: RecordedCommand) -> CountedItem:
    event = sealed.event
    item_id, counted, expected = event.item_id or "", event.counted or 0, event.expected or 0
    return CountedItem(
        item_id=item_id,
        counted=quantity_json(counted),
        expected=quantity_json(expected),
        variance=quantity_json(counted - expected),
        event=record_of(sealed, recorded.standings[item_id]),
    )


def looks_back(content: CountContent) -> bool:
    """Whether a counter said when the book's figure was seen."""
    return any(line.seen_at is not None for line in content.lines)


def add_movements(connection: Connection, answer: CountAnswer, content: CountContent) -> None:
    """Add to each posted item what moved since its counter saw the book's figure, from the log alone.

    It may read the whole history of an item, so it is not for the writer's thread.
    """
    if not answer.items:
        return
    first = answer.items[0].event
    before = decided_at(connection, first.sequence, first.line, first.lines)
    seen = {line.item_id: line.seen_at for line in content.lines}
    last_before: dict[int, int] = {}
    for item in answer.items:
        seen_at = seen.get(item.item_id)
        if seen_at is None:
            continue
        if seen_at not in last_before:
            # A tablet's clock may be ahead: events after the count are not listed.
            last_before[seen_at] = recorded_by(connection, seen_at, before)
        after = last_before[seen_at]
        book = [
            standing_then(connection, first.location_id, item.item_id, known_through=sequence).on_hand
            for sequence in (after, before - 1)
        ]
        item.moved_quantity = quantity_json(book[1] - book[0])
        moved = newest_of_item(connection, item.item_id, after, before, MOVED_SHOWN)
        item.moved = [record_of(each) for each in moved]
