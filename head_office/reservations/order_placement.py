"""Which location should serve an order. Pure.

A location serves an order if it has enough available of every line, by figures that can be trusted: nobody can promise
what a branch may have sold since it was last heard of. Quantities are thousandths, moments microseconds UTC.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from fractions import Fraction

import msgspec

from head_office.reports.freshness import Freshness
from shared.messages import Verdict


class Unfit(StrEnum):
    """Why a location does not serve an order, though enough may be there."""

    SILENT = "silent"
    VERDICT = "verdict"
    BEHIND = "behind"
    QUARANTINED = "quarantined"
    UNITS = "units"


class OrderedItem(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked of an item, in `unit`; None: in the unit that it is kept in."""

    item_id: str
    unit: str | None
    quantity: int


class ItemShort(msgspec.Struct, frozen=True, kw_only=True):
    """An item of which a location has less available than is asked."""

    item_id: str
    unit: str | None
    asked: int
    available: int


class StockedLocation(msgspec.Struct, frozen=True, kw_only=True):
    """A location with what it has available of the items asked for, by its log as far as that has arrived.

    `other_units`: items that it also keeps in another unit than the one asked in.
    """

    fresh: Freshness
    available: Mapping[str, int]
    other_units: frozenset[str] = frozenset()

    @property
    def location_id(self) -> str:
        return self.fresh.location_id


class Placement(msgspec.Struct, frozen=True, kw_only=True):
    """Whether a location serves an order, what it is short of, and what else stands against it."""

    location_id: str
    short: tuple[ItemShort, ...]
    unfit: tuple[Unfit, ...]
    share: Fraction
    fresh: Freshness

    @property
    def serves(self) -> bool:
        return not self.short and not self.unfit


def unfit(fresh: Freshness, now: int, heard_within: int) -> Iterable[Unfit]:
    """What stands against the figures of a location: they are not those of a branch that ships and is heard of.

    `heard_within`: how long ago it may have been heard of at most, in microseconds.
    """
    heard_at = fresh.last_contact_at
    if fresh.contacted_at is None or heard_at is None or now - heard_at > heard_within:
        yield Unfit.SILENT
    if fresh.verdict is not None and fresh.verdict != Verdict.OK.value:
        yield Unfit.VERDICT
    if fresh.behind:
        yield Unfit.BEHIND
    if fresh.quarantined:
        yield Unfit.QUARANTINED


def place_order(
    asked: Sequence[OrderedItem],
    stocked: Iterable[StockedLocation],
    prefer: Sequence[str],
    *,
    now: int,
    heard_within: int,
) -> list[Placement]:
    """Every location with whether it serves the order, the best first: the first that serves is the choice.

    The preferred ones come first, in their order. Then come those that serve, the one first for which the order takes
    the smallest share of what it has available, in its scarcest item; then the others, by their ids.
    """
    places = [_placement(asked, each, now, heard_within) for each in stocked]
    preference = {location_id: place for place, location_id in reversed(list(enumerate(prefer)))}

    def rank(each: Placement) -> tuple[int, bool, Fraction, str]:
        place = preference.get(each.location_id)
        if place is not None:
            return place, False, Fraction(0), each.location_id
        return len(prefer), not each.serves, each.share if each.serves else Fraction(0), each.location_id

    return sorted(places, key=rank)


def choice_of(placements: Iterable[Placement]) -> str | None:
    """The first location that serves the order."""
    return next((each.location_id for each in placements if each.serves), None)


def _placement(asked: Sequence[OrderedItem], stocked: StockedLocation, now: int, heard_within: int) -> Placement:
    short = tuple(
        ItemShort(item_id=line.item_id, unit=line.unit, asked=line.quantity, available=has)
        for line in asked
        if (has := stocked.available.get(line.item_id, 0)) < line.quantity
    )
    against = list(unfit(stocked.fresh, now, heard_within))
    if any(line.item_id in stocked.other_units for line in asked):
        against.append(Unfit.UNITS)
    shares = (Fraction(line.quantity, stocked.available[line.item_id]) for line in asked) if not short else ()
    return Placement(
        location_id=stocked.location_id,
        short=short,
        unfit=tuple(against),
        share=max(shares, default=Fraction(0)),
        fresh=stocked.fresh,
    )
