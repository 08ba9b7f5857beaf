"""The views of head office's pages: the matrix of stock, an explained figure, transfers. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from zoneinfo import ZoneInfo

from head_office.reports.explanations import Explained, LocationExplanation, Passed
from head_office.reports.freshness import Freshness
from head_office.reports.group_stock import FigureKey, StockRow, Total, opened_total, totals
from head_office.reports.in_transit import OnItsWay
from shared.catalogue_messages import CatalogueLocation
from shared.event_record import stock_flags
from shared.events import Event, effect
from shared.messages import Instruction, InstructionStep, Verdict
from shared.runtime.pages.words import STOCK_FLAGS, Flag, in_words, reason_words, span

_FLAGS: Final = {
    **STOCK_FLAGS,
    "incomplete": Flag("incomplete: an event is in quarantine"),
    "unit_conflict": Flag("units differ"),
}
_VERDICTS: Final = {
    Verdict.SUPERSEDED: Flag("an older log than ours; must be recovered", bad=True),
    Verdict.ROLLED_BACK: Flag("rolled back; must be recovered", bad=True),
    Verdict.FORKED: Flag("forked; must be recovered", bad=True),
    Verdict.UPGRADE_REQUIRED: Flag("too old or too new; one side must be upgraded", bad=True),
}


def common_zone(locations: Iterable[CatalogueLocation]) -> ZoneInfo:
    """The zone that most locations are in; UTC where there are none."""
    zones = Counter(location.timezone for location in locations)
    return ZoneInfo(max(sorted(zones), key=lambda name: zones[name]) if zones else "UTC")


# Stock


@dataclass(frozen=True)
class Column:
    """One location of the matrix and how fresh its figures are: moments in microseconds UTC."""

    location_id: str
    name: str
    last_contact_at: int | None
    behind: int
    through: int | None
    flags: tuple[Flag, ...]


@dataclass(frozen=True)
class Figure:
    """One figure of the matrix, in thousandths; `unit` only where it differs from the row's.

    Over a period `before` is what was on hand when it began, and `on_hand` what is at its end.
    """

    recorded_as: str
    on_hand: int
    before: int | None
    reserved: int
    unit: str | None
    flags: tuple[Flag, ...]

    @property
    def available(self) -> int:
        return self.on_hand - self.reserved

    @property
    def change(self) -> int | None:
        return None if self.before is None else self.on_hand - self.before


@dataclass(frozen=True)
class MatrixRow:
    """One item: its figures in the order of the columns (several where a log knows it by several codes), and totals.

    `befores`: over a period, what each of the totals was when it began.
    """

    item_id: str
    name: str
    unit: str
    figures: tuple[tuple[Figure, ...], ...]
    totals: tuple[Total, ...]
    befores: tuple[int, ...]
    flags: tuple[Flag, ...]


def columns(
    locations: Iterable[CatalogueLocation], fresh: Mapping[str, Freshness], cut: Mapping[str, int]
) -> list[Column]:
    """The locations with their freshness and the last event that their figures include."""
    return [_column(location, fresh[location.location_id], cut) for location in locations]


def _column(location: CatalogueLocation, fresh: Freshness, cut: Mapping[str, int]) -> Column:
    flags = []
    if fresh.verdict is not None and fresh.verdict in _VERDICTS:
        flags.append(_VERDICTS[Verdict(fresh.verdict)])
    if fresh.quarantined:
        flags.append(Flag(f"{fresh.quarantined} in quarantine"))
    if fresh.skew is not None and fresh.clock_differs:
        way = "ahead" if fresh.skew > 0 else "behind"
        flags.append(Flag(f"its clock is {span(abs(fresh.skew))} {way}"))
    if fresh.open_counts and fresh.contacted_at is not None:
        age = span(max(0, fresh.contacted_at - fresh.open_counts[0].opened_at))
        count = len(fresh.open_counts)
        flags.append(Flag(f"a count open for {age}" if count == 1 else f"{count} counts open, for {age}"))
    return Column(
        location_id=location.location_id,
        name=location.name,
        last_contact_at=fresh.last_contact_at,
        behind=fresh.behind,
        through=cut.get(location.location_id, fresh.sequence),
        flags=tuple(flags),
    )


def matrix(
    rows: Sequence[StockRow], shown: Sequence[Column], opened: Mapping[FigureKey, int] | None = None
) -> list[MatrixRow]:
    """Items down, locations across. Only equal units are added; an item kept in several has a total for each.

    `opened`: over a period, what was on hand when it began.
    """
    by_item: dict[str, list[StockRow]] = {}
    for row in rows:
        by_item.setdefault(row.item_id, []).append(row)
    sums: dict[str, list[Total]] = {}
    for total in totals(rows):
        sums.setdefault(total.item_id, []).append(total)
    return [_matrix_row(item_id, same, shown, sums[item_id], opened) for item_id, same in by_item.items()]


def _matrix_row(
    item_id: str,
    rows: Sequence[StockRow],
    shown: Sequence[Column],
    sums: list[Total],
    opened: Mapping[FigureKey, int] | None,
) -> MatrixRow:
    several = len(sums) > 1
    unit = "" if several else sums[0].unit or ""
    conflict = any(row.unit_conflict for row in rows)
    return MatrixRow(
        item_id=item_id,
        name=next((row.name for row in rows if row.name), item_id),
        unit=unit,
        figures=tuple(
            tuple(_figure(row, several, opened) for row in rows if row.location_id == column.location_id)
            for column in shown
        ),
        totals=tuple(sums),
        befores=() if opened is None else tuple(opened_total(each, rows, opened) for each in sums),
        flags=(_FLAGS["unit_conflict"],) if conflict else (),
    )


def _figure(row: StockRow, with_unit: bool, opened: Mapping[FigureKey, int] | None) -> Figure:
    return Figure(
        recorded_as=row.recorded_as,
        on_hand=row.on_hand,
        before=None if opened is None else opened[row.key],
        reserved=row.reserved,
        unit=row.unit if with_unit else None,
        # Shown once, beside the item.
        flags=tuple(_FLAGS[flag] for flag in row.flags if flag != "unit_conflict"),
    )


# Explanations


@dataclass(frozen=True)
class ExplainedEvent:
    """One event of an explanation: quantities in thousandths, time in microseconds UTC; `why` it does not count."""

    sequence: int
    occurred_at: int
    what: str
    detail: str
    change: int | None
    counted: int | None
    reserved_change: int | None
    on_hand: int | None
    why: str = ""


@dataclass(frozen=True)
class ExplanationView:
    """An explained figure. `begin`: on hand at the count or before the period, else 0.

    `brought`: on hand before the first step shown, where older steps are left out.
    """

    start: ExplainedEvent | None
    expected: int | None
    begin: int
    brought: int | None
    steps: tuple[ExplainedEvent, ...]
    not_counted: tuple[ExplainedEvent, ...]
    flags: tuple[Flag, ...]
    with_reserved: bool


def explanation_view(found: LocationExplanation) -> ExplanationView:
    """The view of an explanation."""
    steps = tuple(_counted(each, found.item_id) for each in found.steps)
    # It begins before the period, at the count, or at zero, unless steps before the first one shown were left out.
    begin = found.start.on_hand if found.start is not None else 0
    if found.opening is not None:
        begin = found.opening.on_hand
    before = begin
    if steps and steps[0].on_hand is not None and steps[0].change is not None:
        before = steps[0].on_hand - steps[0].change
    flags = [
        *(_FLAGS[name] for name in stock_flags(found.on_hand, found.reserved, recount=found.recount)),
        *([_FLAGS["incomplete"]] if found.quarantined else []),
    ]
    return ExplanationView(
        start=None if found.start is None else _counted(found.start, found.item_id),
        expected=None if found.start is None else found.start.expected,
        begin=begin,
        brought=before if before != begin else None,
        steps=steps,
        not_counted=tuple(_passed(each, found.item_id) for each in found.not_counted),
        flags=tuple(flags),
        with_reserved=any(each.reserved_change is not None for each in steps),
    )


def _counted(each: Explained, item_id: str) -> ExplainedEvent:
    return _explained_event(each.event, each.on_hand, item_id)


def _passed(each: Passed, item_id: str) -> ExplainedEvent:
    return _explained_event(each.event, None, item_id, _why(each))


def _explained_event(event: Event, on_hand: int | None, item_id: str, why: str = "") -> ExplainedEvent:
    does = effect(event)
    parts = [
        None if event.item_id == item_id else f"recorded as {event.item_id}",
        None if event.reason is None else reason_words(event.reason),
        None if event.reference is None else f"{event.reference.kind} {event.reference.id}",
        None if event.transfer_id is None else f"transfer {event.transfer_id}",
        event.note,
    ]
    return ExplainedEvent(
        sequence=event.sequence,
        occurred_at=event.occurred_at,
        what=in_words(event.type),
        detail=", ".join(part for part in parts if part),
        change=does.on_hand_change,
        counted=does.counted,
        reserved_change=does.reserved_change,
        on_hand=on_hand,
        why=why,
    )


def _why(each: Passed) -> str:
    by = each.by_sequence
    return {
        "voided": f"Voided or reversed by event {by}",
        "void": f"Takes event {by} out, and has no figure of its own",
        "before the count": f"Happened before the count of event {by}, which saw what was there",
        "later": "Happened after the moment shown",
        "not known then": "Had not arrived by the moment shown",
        "no effect": "Changes no stock",
    }[each.reason]


# Transfers


@dataclass(frozen=True)
class InTransitRow:
    """One item of one transfer that is in transit."""

    row: OnItsWay
    name: str
    source: str
    destination: str


def in_transit_rows(
    rows: Iterable[OnItsWay], instructions: Iterable[Instruction], names: Mapping[str, str]
) -> list[InTransitRow]:
    """What is in transit with its source and destination: from the logs, else from the instructions."""
    instruction_of = {each.transfer_id: each for each in instructions}
    found = []
    for row in rows:
        instruction = instruction_of.get(row.transfer_id)
        source = ", ".join(row.sources) or (instruction.source if instruction else "not known yet")
        destination = ", ".join(row.destinations) or (instruction.destination if instruction else "not known yet")
        name = "an item that cannot be read" if row.item_id is None else names.get(row.item_id, row.item_id)
        found.append(InTransitRow(row, name, source, destination))
    return found


_TO_DO: Final = {
    InstructionStep.OUT: "to send",
    InstructionStep.REFUSE_OUT: "to refuse the sending",
    InstructionStep.IN: "to receive",
    InstructionStep.REFUSE_IN: "to refuse the receipt",
    InstructionStep.REVERSE: "to take back what it sent",
}


@dataclass(frozen=True)
class OpenInstruction:
    """An instruction that a branch has not answered."""

    location_id: str
    transfer_id: str
    to_do: str
    source: str
    destination: str
    lines: tuple[tuple[str, int, str], ...]


def open_instructions(instructions: Iterable[Instruction], names: Mapping[str, str]) -> list[OpenInstruction]:
    """Open instructions in words; `lines` are (name, thousandths, unit)."""
    return [
        OpenInstruction(
            location_id=each.location_id,
            transfer_id=each.transfer_id,
            to_do=_TO_DO[each.step],
            source=each.source,
            destination=each.destination,
            lines=tuple((names.get(line.item_id, line.item_id), line.quantity, line.unit) for line in each.lines),
        )
        for each in instructions
    ]
