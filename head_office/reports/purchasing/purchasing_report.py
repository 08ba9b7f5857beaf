"""The purchasing report: what is to be ordered for each location, as of a moment, known at one (INTERFACES A5).

The locations are looked at a few at a time, and what is found is packed, so that a report of any size fits in memory.
Works inside the transaction of the Connection it is given; moments are microseconds UTC, quantities thousandths.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence, Set
from typing import Final

from sqlalchemy import Connection

from head_office.reports.group_stock import FLAGS
from head_office.reports.known_at import AsOf, Cut, SettledMoment
from head_office.reports.purchasing.cut_changes import CutChanges, read_changes
from head_office.reports.purchasing.delivered_quantities import OnOrder, on_order_at, on_order_now
from head_office.reports.purchasing.goods_on_their_way import goods_on_their_way
from head_office.reports.purchasing.item_consumption import CodePlace, UsageWindows, item_consumption
from head_office.reports.purchasing.known_catalogue import KnownCatalogue
from head_office.reports.purchasing.level_standings import Coming, LevelStanding, level_standings
from head_office.reports.purchasing.location_states import StateOfLocation, location_states
from head_office.reports.purchasing.packed_rows import RowPacker
from head_office.reports.purchasing.purchasing_formulas import Consumption, row_figures
from head_office.reports.purchasing.purchasing_records import (
    DEFAULT_WINDOW_DAYS,
    LocationState,
    PurchasingLocation,
    PurchasingReport,
    PurchasingRow,
)
from head_office.reports.stock_flags import incomplete, unit_conflicts

MOST_TOGETHER: Final = 10_000
"""How many reorder levels are looked at at the same time, those of one location always."""

_TO_WORRY_ABOUT: Final = (LocationState.BLIND, LocationState.INCOMPLETE, LocationState.FRESH)
_NOTHING_USED: Final = Consumption(0, 0)
_NOT_ORDERED: Final = OnOrder(0, None)


def purchasing_report(
    connection: Connection,
    *,
    location_ids: Collection[str] | None,
    as_of: AsOf | None,
    known_at: SettledMoment,
    given: bool,
    window_days: int = DEFAULT_WINDOW_DAYS,
    all_rows: bool = False,
    advance: Callable[[int], None] = lambda _locations: None,
) -> PurchasingReport:
    """Make the report of the given locations (None: all that were known then).

    `as_of` is a moment, or one for each location of the group; None: `known_at`. `given`: by whoever asks, so that the
    answer has nothing that is not kept and stays the same for ever. `advance` is told how many locations are done.
    """
    changes = read_changes(connection, known_at, as_of)
    catalogue = KnownCatalogue(connection, changes.catalogue_at)
    wanted = None if location_ids is None else set(location_ids)
    places = sorted(
        place for place in changes.as_of.keys() & catalogue.locations.keys() if wanted is None or place in wanted
    )
    states = location_states(connection, changes.cut, places, given=given)
    source = _RowSource(connection, changes, catalogue, states, window_days)
    packer = RowPacker()
    for few in runs(places, catalogue.level_counts()):
        packer.add(source.rows(few, all_rows=all_rows))
        advance(len(few))
    moment = known_at if as_of is None else as_of
    return PurchasingReport(
        as_of=moment if isinstance(moment, int) else None,
        known_at=known_at,
        date=None,
        window_days=window_days,
        cut={place: changes.cut.sequences[place] for place in places},
        locations=sorted(
            (_location(place, changes, catalogue, states[place], known_at) for place in places), key=worry_order
        ),
        rows=packer.rows(),
    )


def runs(places: Iterable[str], levels: Mapping[str, int]) -> Iterator[list[str]]:
    """Divide locations into runs of few levels, in their order, by how many levels each has."""
    run: list[str] = []
    count = 0
    for place in places:
        more = levels.get(place, 0)
        if run and count + more > MOST_TOGETHER:
            yield run
            run, count = [], 0
        run.append(place)
        count += more
    if run:
        yield run


def worry_order(location: PurchasingLocation) -> tuple[int, str]:
    """The place of a location in the report: those that cannot be trusted first."""
    return _TO_WORRY_ABOUT.index(location.state), location.location_id


def _location(
    place: str, changes: CutChanges, catalogue: KnownCatalogue, state: StateOfLocation, known_at: int
) -> PurchasingLocation:
    return PurchasingLocation(
        location_id=place,
        name=catalogue.locations[place].name,
        as_of=changes.as_of[place],
        known_at=known_at,
        state=state.state,
        freshness=state.freshness,
    )


class _RowSource:
    """Makes the rows of a few locations of one report; what is of the whole group is read once."""

    def __init__(
        self,
        connection: Connection,
        changes: CutChanges,
        catalogue: KnownCatalogue,
        states: Mapping[str, StateOfLocation],
        window_days: int,
    ) -> None:
        self._connection = connection
        self._changes = changes
        self._catalogue = catalogue
        self._states = states
        places = sorted(states)
        self._windows = UsageWindows(changes.as_of, catalogue.days(places), window_days)
        # Where all is as it was at the cut, the tables of now are faster to read.
        self._settled = changes.quiet() and changes.catalogue_at is None
        self._incomplete = incomplete(connection, changes.cut, changes.as_of)
        self._coming = Coming(
            goods_on_their_way(connection, changes, catalogue.codes),
            on_order_now(connection, places)
            if self._settled
            else on_order_at(connection, changes.cut, changes.as_of, places),
        )
        self._conflicts: dict[str, bool] = {}

    def rows(self, places: Sequence[str], *, all_rows: bool) -> Iterator[PurchasingRow]:
        """The rows of these locations, in no order."""
        connection, catalogue = self._connection, self._catalogue
        found = level_standings(connection, self._changes, catalogue, self._coming, places, all_rows=all_rows)
        codes = [
            CodePlace(each.location_id, code, each.item_id)
            for each in found
            for code in catalogue.codes_at(each.location_id, each.item_id)
        ]
        used = item_consumption(connection, self._changes, self._windows, codes)
        self._look_for_conflicts({each.item_id for each in found})
        catalogue.items({each.item_id for each in found})
        for each in found:
            yield self._row(each, used.get((each.location_id, each.item_id), _NOTHING_USED))

    def _look_for_conflicts(self, item_ids: Set[str]) -> None:
        missing = item_ids - self._conflicts.keys()
        # Of now, where that is the same, it is read without a look at each event.
        cut = Cut(None, self._changes.cut.sequences) if self._settled else self._changes.cut
        found = unit_conflicts(self._connection, missing, cut)
        self._conflicts.update({item_id: item_id in found for item_id in missing})

    def _row(self, standing: LevelStanding, consumption: Consumption) -> PurchasingRow:
        place, item_id, level = standing.location_id, standing.item_id, standing.level
        item = self._catalogue.items(())[item_id]
        supplier = None if level.supplier_id is None else self._catalogue.suppliers.get(level.supplier_id)
        lead_days = level.lead_days
        if lead_days is None and supplier is not None:
            lead_days = supplier.lead_days
        available = standing.on_hand - standing.reserved
        figures = row_figures(
            level,
            available=available,
            in_transit=standing.in_transit,
            on_order=standing.on_order,
            consumption=consumption,
            lead_days=lead_days,
        )
        return PurchasingRow(
            location_id=place,
            item_id=item_id,
            name=None if item is None else item.name,
            unit=standing.unit or (None if item is None else item.unit),
            supplier_id=level.supplier_id,
            supplier_name=None if supplier is None else supplier.name,
            on_hand=standing.on_hand,
            reserved=standing.reserved,
            available=available,
            in_transit=standing.in_transit,
            on_order=standing.on_order,
            next_due=self._coming.on_order.get((place, item_id), _NOT_ORDERED).next_due,
            projected=figures.projected,
            reorder_point=level.reorder_point,
            order_up_to=level.order_up_to,
            order_quantity=level.order_quantity,
            pack_size=level.pack_size,
            to_order=figures.to_order,
            packs=figures.packs,
            daily_usage=figures.daily_usage,
            days_left=figures.days_left,
            lead_days=lead_days,
            suggested_reorder_point=figures.suggested_reorder_point,
            flags=self._flags(standing),
            location_state=self._states[place].state,
        )

    def _flags(self, standing: LevelStanding) -> tuple[str, ...]:
        pair = (standing.location_id, standing.item_id)
        raised = {
            "negative": standing.on_hand < 0,
            "short": standing.reserved > max(standing.on_hand, 0),
            "recount": standing.recount,
            "incomplete": self._is_incomplete(*pair),
            "unit_conflict": self._conflicts[standing.item_id],
        }
        return tuple(name for name in FLAGS if raised[name])

    def _is_incomplete(self, place: str, item_id: str) -> bool:
        on_its_way = self._coming.on_their_way.get((place, item_id))
        if on_its_way is not None and on_its_way.incomplete:
            return True
        if not self._incomplete:
            return False
        codes: Iterable[str | None] = (None, *self._catalogue.codes_at(place, item_id))
        return any((place, code) in self._incomplete for code in codes)
