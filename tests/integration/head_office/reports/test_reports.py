"""Every figure of head office agrees with the fold of what was known: now, as of every moment, known at every cut."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, Engine, select, text

from head_office.catalogue.item_codes import read_codes
from head_office.database.office_schema import ITEM, ITEM_ALIAS
from head_office.database.receipts import receipts
from head_office.database.schema import CONTACT, EVENT, ITEM_UNIT, now
from head_office.log import decoder
from head_office.log.ingest import ingest
from head_office.log.quarantine import retry
from head_office.reports import explanations, group_stock
from head_office.reports.conservation import conservation
from head_office.reports.event_list import EventFilter
from head_office.reports.event_list import events as list_events
from head_office.reports.freshness import freshness
from head_office.reports.in_transit import in_transit
from head_office.reports.known_at import SettledMoment, report_snapshot
from head_office.reports.variances import variances
from shared import stock, wire
from shared.events import Event
from shared.stock import Movement
from tests.support.consolidation import PLACE, Branch, OldVersion, movements, open_location
from tests.support.events import MINUTE, NOON, an_event
from tests.support.groups import PLACES, groups

MOMENTS = [NOON + minute * MINUTE for minute in range(-1, 10, 2)]


@pytest.fixture
def pair(office: Engine) -> Engine:
    with office.begin() as connection:
        open_location(connection, "BEY-02")
    return office


def shipped(connection: Connection, logs: Mapping[str, list[Event]]) -> list[tuple[int, dict[str, int]]]:
    """Ship each log in two halves; what was known when, as (moment, last sequence of each location)."""
    known: list[tuple[int, dict[str, int]]] = [(NOON, dict.fromkeys(PLACES, 0))]
    branches = {place: Branch(place).record(log) for place, log in logs.items()}
    for half in (0, 1):
        for place, branch in branches.items():
            size = len(branch.lines)
            first, last = (1, size // 2) if half == 0 else (size // 2 + 1, size)
            if first <= last:
                answer = ingest(connection, wire.unpack(branch.pack(first, last)))
                known.append((answer.received_at, {**known[-1][1], place: last}))
    return known


def stories(connection: Connection) -> dict[tuple[str, str], list[Movement]]:
    found = connection.execute(
        select(EVENT.c.location_id, EVENT.c.item_id).where(EVENT.c.item_id.is_not(None)).distinct()
    )
    return {(place, item): movements(connection, place, item) for place, item in found.all()}


GIVEN = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@GIVEN
@given(groups(), st.lists(st.sampled_from([None, *MOMENTS]), min_size=2, max_size=2, unique=True))
def test_stock_agrees_with_the_fold(pair: Engine, logs: dict[str, list[Event]], moments: list[int | None]) -> None:
    with pair.connect() as connection, connection.begin() as transaction:
        known = shipped(connection, logs)
        told = stories(connection)
        for moment, cut in known:
            for as_of in moments:
                report = group_stock.stock(connection, as_of=as_of, known_at=SettledMoment(moment))
                assert (report.cut.known_at, report.cut.sequences) == (moment, cut)
                rows = {(row.location_id, row.item_id): row for row in report.rows}
                assert len(rows) == len(report.rows)
                for (place, item), story in told.items():
                    folded = stock.fold(story, as_of=as_of or 2**60, known_through=cut[place])
                    row = rows.get((place, item))
                    if row is None:
                        assert not any(
                            each.sequence <= cut[place] and (as_of is None or each.occurred_at <= as_of)
                            for each in story
                        )
                        continue
                    assert (row.on_hand, row.recount) == (folded.on_hand, folded.recount)
                    if as_of is not None:
                        assert (row.reserved, row.short) == (folded.reserved, folded.short)
                    assert row.available == row.on_hand - row.reserved
                    assert (row.unit, row.negative) == ("l" if item == "milk" else "kg", row.on_hand < 0)
        transaction.rollback()


@GIVEN
@given(groups(), st.sampled_from([None, *MOMENTS]))
def test_goods_are_conserved(pair: Engine, logs: dict[str, list[Event]], as_of: int | None) -> None:
    with pair.connect() as connection, connection.begin() as transaction:
        known = shipped(connection, logs)
        for known_at in (None, *(moment for moment, _ in known)):
            report = conservation(connection, as_of=as_of, known_at=known_at)  # type: ignore[arg-type]
            assert report.broken == []
            on_its_way = in_transit(connection, as_of=as_of, known_at=known_at).rows  # type: ignore[arg-type]
            for item in report.items:
                assert sum(each.in_transit for each in on_its_way if each.item_id == item.item_id) == item.in_transit
        transaction.rollback()


@GIVEN
@given(groups())
def test_now_is_the_past_up_to_now(pair: Engine, logs: dict[str, list[Event]]) -> None:
    with pair.connect() as connection, connection.begin() as transaction:
        shipped(connection, logs)
        current = group_stock.stock(connection)
        past = group_stock.stock(connection, known_at=now(connection))  # type: ignore[arg-type]
        assert current.rows == past.rows
        assert {each.transfer_id: each.in_transit for each in in_transit(connection).rows} == {
            each.transfer_id: each.in_transit
            for each in in_transit(connection, known_at=now(connection)).rows  # type: ignore[arg-type]
        }
        for row in current.rows:
            why = explanations.explain(connection, row.location_id, row.item_id)
            assert why is not None
            assert (why.on_hand, why.reserved, why.recount, why.unit) == (
                row.on_hand,
                row.reserved,
                row.recount,
                row.unit,
            )
            told = [each.event.sequence for each in [*why.steps, *why.not_counted]]  # type: ignore[attr-defined]
            told += [why.start.event.sequence] if why.start else []
            assert sorted(told) == sorted(each.sequence for each in movements(connection, row.location_id, row.item_id))
            counts = variances(connection, location_ids=[row.location_id], item_id=row.item_id).rows
            assert sum(each.variance for each in counts) == why.variance
        transaction.rollback()


@GIVEN
@given(groups())
def test_reserved_now_is_that_of_the_fold(pair: Engine, logs: dict[str, list[Event]]) -> None:
    """At every minute after the last event until the last expiry, so at the moment of each expiry too."""
    now = "CREATE OR REPLACE FUNCTION larder_now() RETURNS bigint LANGUAGE sql VOLATILE AS 'SELECT {}::bigint'"
    with pair.connect() as connection, connection.begin() as transaction:
        shipped(connection, logs)
        histories = stories(connection)
        for moment in range(NOON + 8 * MINUTE, NOON + 15 * MINUTE, MINUTE):
            connection.execute(text(now.format(moment)))
            found = {(row.location_id, row.item_id): row for row in group_stock.stock(connection).rows}
            assert found.keys() == histories.keys()
            for key, row in found.items():
                figures = (row.on_hand, row.reserved, row.recount, row.short, row.negative)
                folded = stock.fold(histories[key], as_of=moment)
                assert figures == (folded.on_hand, folded.reserved, folded.recount, folded.short, folded.negative)
        transaction.rollback()


@GIVEN
@given(groups(), st.sampled_from([None, *MOMENTS]))
def test_variances_are_those_of_the_fold(pair: Engine, logs: dict[str, list[Event]], as_of: int | None) -> None:
    with pair.connect() as connection, connection.begin() as transaction:
        for known_at, cut in shipped(connection, logs):
            expected: dict[tuple[str, int], int] = {}
            sums: dict[str, int] = {}
            for (place, item), story in stories(connection).items():
                standing = stock.history(story, as_of=None, known_through=cut[place]).standing
                for count in (each for each in standing if each.counted is not None):
                    before = stock.fold(each for each in standing if each.place < count.place)
                    expected[place, count.sequence] = before.on_hand
                folded = stock.fold(story, as_of=as_of, known_through=cut[place])
                sums[item] = sums.get(item, 0) + folded.variance
            rows = variances(connection, known_at=known_at, limit=1_000).rows  # type: ignore[arg-type]
            assert {(row.event.location_id, row.event.sequence): row.expected for row in rows} == expected
            report = conservation(connection, as_of=as_of, known_at=known_at)  # type: ignore[arg-type]
            told = {each.item_id: each.terms["variance"] for each in report.items}
            assert {item: sums[item] for item in told} == told
            assert not any(total for item, total in sums.items() if item not in told)
        transaction.rollback()


def test_pages_of_stock(pair: Engine) -> None:
    for place in PLACES:
        Branch(place).record([an_event(seed=n, item_id=f"item-{n}") for n in range(1, 8)]).ship(pair)
    with pair.connect() as connection:
        whole = group_stock.stock(connection)
        assert [(row.item_id, row.location_id) for row in whole.rows] == [
            (f"item-{n}", place) for n in range(1, 8) for place in PLACES
        ]
        for past in (None, now(connection)):
            rows, after = [], None
            while True:
                page = group_stock.stock(connection, after=after, limit=5, known_at=SettledMoment(past))  # type: ignore[arg-type]
                rows += page.rows
                after = page.next
                if after is None:
                    break
            assert rows == whole.rows
        assert [row.location_id for row in group_stock.stock(connection, item_ids=["item-3"]).rows] == list(PLACES)
        assert len(group_stock.stock(connection, location_ids=["BEY-02"], item_ids=["item-3", "item-4"]).rows) == 2


def test_what_is_in_quarantine_marks_the_figures_it_may_touch(pair: Engine) -> None:
    branch = Branch().record(
        [an_event(), an_event(seed=2, item_id="bread"), an_event(seed=3, unit="kg", occurred_at=NOON + MINUTE)]
    )
    received = branch.ship(pair).received_at
    Branch("BEY-02").record([an_event(item_id="milk")]).scrawl([b"?"]).ship(pair)
    with pair.connect() as connection:
        rows = {(row.location_id, row.item_id): row for row in group_stock.stock(connection).rows}
        assert rows[PLACE, "milk"].flags == ("negative", "incomplete")
        assert rows[PLACE, "bread"].flags == ("negative",)
        assert rows["BEY-02", "milk"].incomplete
        assert not any(row.incomplete for row in group_stock.stock(connection, location_ids=[PLACE], as_of=NOON).rows)
        at = group_stock.stock(connection, known_at=SettledMoment(received))
        assert {(row.location_id, row.item_id) for row in at.rows if row.incomplete} == {(PLACE, "milk")}
        why = explanations.explain(connection, PLACE, "milk")
        assert why is not None
        assert [each.sequence for each in why.quarantined] == [3]
        assert explanations.explain(connection, PLACE, "never seen") is None
        assert {each.location_id: each.quarantined for each in freshness(connection).values()} == {
            PLACE: 1,
            "BEY-02": 1,
        }


def test_an_event_in_quarantine_marks_variances_goods_in_transit_and_an_item_of_its_own(pair: Engine) -> None:
    unknown = {"note": "new"}
    branch = Branch().record(
        [
            an_event("PURCHASE_RECEIVED", seed=1, quantity=10_000, **unknown),
            an_event("STOCKTAKE", seed=2, counted=10_000, expected=10_000, occurred_at=NOON + MINUTE),
            an_event("STOCKTAKE", seed=3, item_id="bread", counted=1_000, expected=0),
            an_event("PURCHASE_RECEIVED", seed=4, item_id="salt", **unknown),
            an_event("TRANSFER_OUT", seed=5, item_id="bread", transfer_id="t-1", transfer_line=1),
            an_event("TRANSFER_OUT", seed=6, item_id="bread", transfer_id="t-2", transfer_line=1),
            an_event("TRANSFER_OUT", seed=8, item_id="cake", transfer_id="t-3", transfer_line=1, **unknown),
            an_event("TRANSFER_OUT", seed=9, item_id="bread", transfer_id="t-4", transfer_line=1),
        ]
    )
    there = Branch("BEY-02").record(
        [
            an_event("TRANSFER_IN", seed=7, item_id="bread", transfer_id="t-1", transfer_line=1, **unknown),
            an_event("TRANSFER_IN", seed=10, item_id="bread", transfer_id="t-4", transfer_line=1),
            an_event(
                "TRANSFER_LOST", seed=11, item_id="bread", transfer_id="t-4", transfer_line=1, reason="x", **unknown
            ),
        ]
    )
    with pytest.MonkeyPatch.context() as old:
        old.setattr(decoder, "understand", OldVersion.understand)
        branch.ship(pair)
        there.ship(pair)
    with pair.connect() as connection:
        counts = {row.item_id: (row.variance, row.incomplete) for row in variances(connection).rows}
        assert counts == {"milk": (10_000, True), "bread": (1_000, False)}
        rows = {(row.location_id, row.item_id): row for row in group_stock.stock(connection).rows}
        salt = rows[PLACE, "salt"]
        assert (salt.on_hand, salt.codes, salt.unit, salt.flags) == (0, ("salt",), None, ("incomplete",))
        assert group_stock.stock(connection, item_ids=["salt"]).rows == [salt]
        assert group_stock.stock(connection, item_ids=["salt"], known_at=SettledMoment(now(connection))).rows == [salt]
        assert rows["BEY-02", "bread"].incomplete
        seen = SettledMoment(now(connection))
        for report in (
            in_transit(connection),
            in_transit(connection, known_at=seen),
            in_transit(connection, as_of=NOON + MINUTE),
        ):
            found = {row.transfer_id: (row.in_transit, row.incomplete) for row in report.rows}
            assert found == {"t-1": (1_000, True), "t-2": (1_000, False), "t-3": (0, True), "t-4": (0, True)}
        unread = next(row for row in in_transit(connection).rows if row.transfer_id == "t-3")
        assert (unread.item_id, unread.sources, unread.destinations) == ("cake", [PLACE], [])
        assert len(in_transit(connection, item_id="bread", location_ids=["BEY-02"]).rows) == 2
    there.scrawl([b'{"type":"TRANSFER_IN","v":99,"transfer_id":"t-5"}']).ship(pair)
    with pair.connect() as connection:
        (unread,) = [row for row in in_transit(connection).rows if row.transfer_id == "t-5"]
        assert (unread.item_id, unread.in_transit, unread.incomplete) == (None, 0, True)
        assert unread.destinations == ["BEY-02"]
        assert {row.transfer_id for row in in_transit(connection).rows if not row.incomplete} == {"t-2"}
    there.scrawl([b'{"type":"TRANSFER_REVERSED","v":99}']).ship(pair)
    with pair.connect() as connection:
        # Its type is known and its transfer is not: it may be of any.
        assert all(row.incomplete for row in in_transit(connection).rows)
    with pair.connect() as connection:
        # What cannot be read at all may be of any transfer.
        assert all(row.incomplete for row in in_transit(connection).rows)


def test_what_came_out_of_quarantine_counts_from_then_on(office: Engine) -> None:
    waits = an_event("PURCHASE_RECEIVED", seed=2, quantity=2_000, note="new")
    gone = {"voided_sequence": 1, "voided_event_id": an_event(seed=1).event_id}
    branch = Branch().record(
        [an_event("PURCHASE_RECEIVED"), waits, an_event("EVENT_VOIDED", reason="x", note="new", **gone)]
    )
    with pytest.MonkeyPatch.context() as old:
        old.setattr(decoder, "understand", OldVersion.understand)
        before = branch.ship(office).received_at
    with office.begin() as connection:
        retry(connection, PLACE)
    with office.connect() as connection:
        after = now(connection)
        for known_at, incomplete in ((before, True), (after, False)):
            (row,) = group_stock.stock(connection, known_at=known_at).rows  # type: ignore[arg-type]
            assert (row.on_hand, row.incomplete) == (1_000 if incomplete else 2_000, incomplete)
            why = explanations.explain(connection, PLACE, "milk", known_at=known_at)  # type: ignore[arg-type]
            assert why is not None
            assert (why.on_hand, [each.event.sequence for each in why.steps]) == (row.on_hand, [1 if incomplete else 2])
            assert len(why.quarantined) == (2 if incomplete else 0)
            report = conservation(connection, known_at=known_at)  # type: ignore[arg-type]
            assert (report.broken, [each.on_hand for each in report.items]) == ([], [row.on_hand])


def test_only_equal_units_are_added(pair: Engine) -> None:
    Branch().record([an_event("PURCHASE_RECEIVED"), an_event("PURCHASE_RECEIVED", seed=2, item_id="tea")]).ship(pair)
    Branch("BEY-02").record(
        [an_event("PURCHASE_RECEIVED", unit="crate"), an_event("PURCHASE_RECEIVED", seed=2, item_id="tea")]
    ).ship(pair)
    with pair.connect() as connection:
        totals = {(each.item_id, each.unit): each for each in group_stock.totals(group_stock.stock(connection).rows)}
        assert {key: each.on_hand for key, each in totals.items()} == {
            ("milk", "l"): 1_000,
            ("milk", "crate"): 1_000,
            ("tea", "l"): 2_000,
        }
        assert totals["milk", "l"].unit_conflict
        assert not totals["tea", "l"].unit_conflict
        assert totals["tea", "l"].locations == 2
        assert connection.execute(select(ITEM_UNIT.c.unit).where(ITEM_UNIT.c.item_id == "tea")).scalars().all() == [
            "l",
            "l",
        ]


def test_a_branchs_own_code_counts_as_the_item_it_is_mapped_to(pair: Engine) -> None:
    Branch().record([an_event("PURCHASE_RECEIVED", item_id="own-7")]).ship(pair)
    Branch("BEY-02").record([an_event("PURCHASE_RECEIVED")]).ship(pair)
    with pair.begin() as connection:
        connection.execute(ITEM.insert().values(item_id="milk", name="Milk", unit="l", strict_at=[]))
        connection.execute(ITEM_ALIAS.insert().values(location_id=PLACE, alias="own-7", item_id="milk"))
    with pair.connect() as connection:
        report = group_stock.stock(connection, item_ids=["milk"])
        assert [(row.item_id, row.recorded_as, row.name) for row in report.rows] == [
            ("milk", "own-7", "Milk"),
            ("milk", "milk", "Milk"),
        ]
        assert group_stock.stock(connection, item_ids=["own-7"]).rows == []
        assert [each.on_hand for each in group_stock.totals(report.rows)] == [2_000]
        assert conservation(connection, item_ids=["milk"]).items[0].on_hand == 2_000
        assert read_codes(connection, ["milk"]).codes_at(PLACE, "milk") == ["milk", "own-7"]
        assert read_codes(connection, ["own-7"]).codes_at(PLACE, "own-7") == []


def test_a_reservation_stops_counting_at_its_expiry(office: Engine) -> None:
    held = {"reservation_id": "r", "expires_at": NOON + 2 * MINUTE, "quantity": 3_000}
    Branch().record([an_event("PURCHASE_RECEIVED", quantity=5_000), an_event("STOCK_RESERVED", seed=2, **held)]).ship(
        office
    )
    with office.connect() as connection:
        assert group_stock.stock(connection).rows[0].reserved == 0
        assert group_stock.stock(connection, as_of=NOON + MINUTE).rows[0].reserved == 3_000
        assert group_stock.stock(connection, as_of=NOON + 2 * MINUTE).rows[0].reserved == 0


def test_events_page_by_page_and_filtered(pair: Engine) -> None:
    made = [
        an_event("PURCHASE_RECEIVED"),
        an_event(seed=2, item_id="tea"),
        an_event("EVENT_VOIDED", seed=3, voided_sequence=1, voided_event_id=an_event(seed=1).event_id, reason="x"),
        an_event("TRANSFER_IN", seed=4, transfer_id="t", transfer_line=1, occurred_at=NOON + MINUTE),
    ]
    here, there = Branch().record(made), Branch("BEY-02").record([an_event(seed=9)])
    here.ship(pair)
    there.ship(pair)
    with pair.connect() as connection:
        received = receipts(connection)

        def told(**filters: Any) -> list[tuple[str, int]]:
            newest_first = bool(filters.pop("newest_first", False))
            page = list_events(connection, received, EventFilter(**filters), newest_first=newest_first)
            return [(each.event.location_id, each.event.sequence) for each in page.events]

        assert told() == [(PLACE, 1), (PLACE, 2), (PLACE, 3), (PLACE, 4), ("BEY-02", 1)]
        assert told(newest_first=True)[0] == ("BEY-02", 1)
        assert told(item_id="tea") == [(PLACE, 2)]
        assert told(types=["EVENT_VOIDED", "TRANSFER_IN"]) == [(PLACE, 3), (PLACE, 4)]
        assert told(transfer_id="t") == told(begin=NOON + 1) == [(PLACE, 4)]
        assert told(location_ids=["BEY-02"], end=NOON + 1) == [("BEY-02", 1)]
        for newest_first in (False, True):
            seen, after = [], None
            while True:
                page = list_events(connection, received, after=after, limit=2, newest_first=newest_first)
                seen += [(each.event.location_id, each.event.sequence) for each in page.events]
                after = page.next
                if len(page.events) < 2:
                    assert (after is None) == newest_first
                    break
            assert seen == told(newest_first=newest_first)
        first = list_events(connection, received, limit=1).events[0]
        assert (first.hash, first.voided_by) == (here.hashes[1].hex(), 3)


def test_variance_by_now_beside_what_was_posted(office: Engine) -> None:
    def count(seed: int, counted: int, expected: int, at: int) -> Event:
        return an_event("STOCKTAKE", seed=seed, counted=counted, expected=expected, occurred_at=at)

    branch = Branch().record(
        [
            an_event("PURCHASE_RECEIVED", quantity=5_000),
            count(2, 4_000, 5_000, NOON + 2 * MINUTE),
            count(3, 3_500, 4_000, NOON + 4 * MINUTE),
            an_event("ORDER_DEDUCTION", seed=4, quantity=1_000, occurred_at=NOON + MINUTE),  # late: before both counts
        ]
    )
    early = branch.ship(office, 1, 3).received_at
    branch.ship(office, 4, 4)
    with office.connect() as connection:
        rows = variances(connection).rows
        assert [(each.counted, each.expected, each.posted) for each in rows] == [
            (4_000, 4_000, 5_000),
            (3_500, 4_000, 4_000),
        ]
        assert [each.expected for each in variances(connection, known_at=SettledMoment(early)).rows] == [5_000, 4_000]
        page = variances(connection, limit=1)
        assert page.next is not None
        assert [each.counted for each in variances(connection, after=page.next).rows] == [3_500]
        assert variances(connection, begin=NOON + 3 * MINUTE, end=NOON + 4 * MINUTE).rows == []


def test_in_transit_seen_from_both_ends(pair: Engine) -> None:
    sent = {"transfer_id": "t", "transfer_line": 1}
    Branch("BEY-02").record([an_event("TRANSFER_IN", quantity=600, **sent)]).ship(pair)
    with pair.connect() as connection:
        row = in_transit(connection).rows[0]
        assert (row.in_transit, row.ahead, row.sources, row.destinations) == (-600, True, [], ["BEY-02"])
    Branch().record([an_event("TRANSFER_OUT", quantity=1_000, **sent)]).ship(pair)
    with pair.connect() as connection:
        row = in_transit(connection).rows[0]
        assert (row.sent, row.received, row.in_transit, row.unit) == (1_000, 600, 400, "l")
        assert (row.sources, row.destinations) == ([PLACE], ["BEY-02"])
        assert in_transit(connection, location_ids=["BEY-02"], item_id="milk").rows == [row]
        assert in_transit(connection, item_id="tea").rows == []
        assert in_transit(connection, location_ids=["BEY-03"]).rows == []


def test_a_void_in_quarantine_marks_the_figures_before_it(office: Engine) -> None:
    """A void acts by what is known, not by when it occurred."""
    void = {"voided_sequence": 1, "voided_event_id": an_event(seed=1).event_id, "reason": "x", "note": "new"}
    branch = Branch().record(
        [
            an_event("PURCHASE_RECEIVED", quantity=10_000),
            an_event("STOCKTAKE", seed=2, counted=10_000, expected=10_000, occurred_at=NOON + MINUTE),
            an_event("EVENT_VOIDED", seed=3, occurred_at=NOON + 9 * MINUTE, **void),
        ]
    )
    with pytest.MonkeyPatch.context() as old:
        old.setattr(decoder, "understand", OldVersion.understand)
        branch.ship(office)
    with office.connect() as connection:
        assert group_stock.stock(connection, as_of=NOON).rows[0].incomplete
        assert variances(connection).rows[0].incomplete
        found = explanations.explain(connection, PLACE, "milk", as_of=NOON)
        assert found is not None
        assert [each.sequence for each in found.quarantined] == [3]


def test_nothing_is_behind_in_a_figure_known_at_a_past_moment(office: Engine) -> None:
    branch = Branch().record([an_event(seed=number) for number in range(1, 4)])
    then = branch.ship(office, 1, 1).received_at
    branch.ship(office, 2)
    with office.begin() as connection:
        connection.execute(
            CONTACT.insert().values(
                location_id=PLACE,
                contacted_at=then,
                epoch=1,
                sequence=3,
                verdict="OK",
                protocol=1,
                schema=1,
                software="x",
            )
        )
    with report_snapshot(office, then) as (connection, settled):
        fresh = freshness(connection, cut=group_stock.stock(connection, known_at=settled).cut)[PLACE]
    assert (fresh.sequence, fresh.behind) == (1, 0)
