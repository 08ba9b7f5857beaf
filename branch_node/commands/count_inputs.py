"""Request bodies of counts, and the content that is read from them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any

import msgspec

from branch_node.commands.input_fields import DEFAULT_SOURCE, Person, StrictInput, codes, moment, quantity_of, texts
from shared.checked_fields import Amount, CheckedCode, CheckedId, Moment, Note, OrderId, Source, quantity_rule
from shared.events import MAX_LINES
from shared.runtime.http.body_faults import Fault
from shared.runtime.problems import invalid_request


class CountLineInput(StrictInput, kw_only=True):
    """The counted quantity of an item, in one area or altogether; `seen_at` is when the counter saw the book's figure.

    `replace`: it replaces the quantity of this area that was sent before, while that waits for the rest of its count.
    """

    item_id: CheckedId
    area: CheckedCode | None = None
    counted: Annotated[Amount, quantity_rule(lowest=0)]
    unit: CheckedCode | None = None
    occurred_at: Moment | None = None
    seen_at: Moment | None = None
    replace: bool = False
    note: Note | None = None


class CountInput(StrictInput, kw_only=True):
    """A count of items. Areas of one item are summed; with `open` they wait for a request of this count without it."""

    count_id: OrderId
    lines: Annotated[list[CountLineInput], msgspec.Meta(min_length=1, max_length=MAX_LINES)]
    open: bool = False
    reason: CheckedCode | None = None
    source: Source | None = None
    actor: Person | None = None

    @staticmethod
    def faults_between(given: Mapping[str, Any]) -> Iterator[Fault]:
        yield from _twice(given.get("lines", ()))


class CountLine(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The content of a `CountLineInput`: quantities in thousandths, times in microseconds UTC."""

    item_id: str
    area: str = ""
    counted: int
    unit: str | None = None
    occurred_at: int | None = None
    seen_at: int | None = None
    replace: bool = False
    note: str | None = None


class CountContent(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The content of a `CountInput`."""

    count_id: str
    lines: tuple[CountLine, ...]
    open: bool = False
    reason: str | None = None
    source: str = DEFAULT_SOURCE
    person: str | None = None


def keyless(count_id: str) -> str:
    """What the keys of a count's requests without a caller's key begin with."""
    return f"larder:count:{count_id}:"


def count_of(body: CountInput) -> CountContent:
    """The content of a count. Raises Problem, also where it has an area of an item twice."""
    codes(count_id=body.count_id, actor=body.actor, reason=body.reason)
    lines = tuple(_count_line(line, f"lines[{place}].") for place, line in enumerate(body.lines))
    for fault in _twice(body.lines):
        invalid_request(fault["field"], fault["message"])
    return CountContent(
        count_id=body.count_id,
        lines=lines,
        open=body.open,
        reason=body.reason,
        source=body.source or DEFAULT_SOURCE,
        person=body.actor,
    )


def _twice(lines: Sequence[CountLineInput]) -> Iterator[Fault]:
    """The faults of lines whose item and area an earlier one has."""
    seen: set[tuple[str, str]] = set()
    for place, line in enumerate(lines):
        if (line.item_id, line.area or "") in seen:
            message = f"{line.item_id} stands twice in the count; name its areas apart"
            yield {"field": f"lines[{place}]", "message": message}
        seen.add((line.item_id, line.area or ""))


def _count_line(body: CountLineInput, path: str) -> CountLine:
    codes(**{f"{path}item_id": body.item_id, f"{path}area": body.area, f"{path}unit": body.unit})
    texts(**{f"{path}note": body.note})
    return CountLine(
        item_id=body.item_id,
        area=body.area or "",
        counted=quantity_of(body.counted, f"{path}counted", lowest=0),
        unit=body.unit,
        occurred_at=moment(body.occurred_at, f"{path}occurred_at"),
        seen_at=moment(body.seen_at, f"{path}seen_at"),
        replace=body.replace,
        note=body.note,
    )
