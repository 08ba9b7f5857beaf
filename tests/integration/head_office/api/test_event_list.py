"""The group's event list, followed by its cursor: every event once, in the order of receipt, whatever is received."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, Engine, text
from sqlalchemy.engine import RootTransaction

from head_office.database.receipts import ReceiptPlace, receipts
from head_office.log import decoder, quarantine
from head_office.reports import event_list
from head_office.reports.event_list import EventFilter, ListedEvent, events
from tests.integration.head_office.conftest import PLACES, Api
from tests.support.branch_log import BranchLog
from tests.support.consolidation import OldVersion

Seen = tuple[str, int]


class EventFollower:
    """Follows the list from a place on, in pages."""

    def __init__(self, office: Engine, place: ReceiptPlace | None = None, wanted: EventFilter | None = None) -> None:
        self.office = office
        self.place = place
        self.wanted = EventFilter() if wanted is None else wanted
        self.seen: list[ListedEvent] = []

    def page(self, limit: int) -> int:
        """Read one page, and how many events it held."""
        with self.office.connect() as connection:
            received = receipts(connection)
        with self.office.connect() as connection:
            page = events(connection, received, self.wanted, after=self.place, limit=limit)
        assert page.next is not None
        self.place = page.next
        self.seen += page.events
        return len(page.events)

    def to_the_end(self, limit: int = 100) -> list[Seen]:
        """All events seen, as (location, sequence)."""
        while self.page(limit) == limit:
            pass
        return [(each.event.location_id, each.event.sequence) for each in self.seen]


def everything(office: Engine) -> set[Seen]:
    with office.connect() as connection:
        return {(row.location_id, row.sequence) for row in connection.execute(text("SELECT * FROM event"))}


def test_who_follows_while_two_branches_push_gets_every_event_once(api: Api, office: Engine) -> None:
    logs = [BranchLog("BEY-01"), BranchLog("BEY-02")]
    for log in logs:
        for _ in range(60):
            log.record("ORDER_DEDUCTION")

    def push(log: BranchLog) -> None:
        while log.shipped < len(log.sealed):
            with office.begin() as connection:
                log.ship(connection, log.shipped + 1)

    found: list[Seen] = []
    after = ""
    with ThreadPoolExecutor(2) as pool:
        pushing = [pool.submit(push, log) for log in logs]
        done = False
        while True:
            last_look, done = done, all(each.done() for each in pushing)
            page = api.call("viewer", "GET", f"/v1/events?limit=7&after={after}").json()
            found += [(each["location_id"], each["sequence"]) for each in page["items"]]
            assert page["next"] is not None
            after = page["next"]
            if last_look and len(page["items"]) < 7:
                break
        for each in pushing:
            each.result()
    assert len(found) == len(set(found)) == 120
    assert set(found) == everything(office)


def test_an_ingest_held_open_holds_back_what_was_received_after_it(office: Engine) -> None:
    slow, fast = BranchLog("BEY-01"), BranchLog("BEY-02")
    for log in (slow, fast):
        log.record("ORDER_DEDUCTION")
    follower = EventFollower(office)
    with office.connect() as open_one, open_one.begin() as transaction:
        slow.ship(open_one)
        fast.ship_now(office)
        assert follower.to_the_end() == []
        transaction.commit()
    assert follower.to_the_end() == [("BEY-01", 1), ("BEY-02", 1)]
    fast.record("ORDER_DEDUCTION")
    fast.ship_now(office)
    assert follower.to_the_end() == [("BEY-01", 1), ("BEY-02", 1), ("BEY-02", 2)]


@pytest.mark.parametrize("wanted", [EventFilter(), EventFilter(item_id="milk"), EventFilter(types=["ORDER_DEDUCTION"])])
def test_what_comes_out_of_quarantine_is_received_then(office: Engine, wanted: EventFilter) -> None:
    branch = BranchLog("BEY-01")
    for note in ("new", None, "new", None):
        branch.record("ORDER_DEDUCTION", note=note)
    with pytest.MonkeyPatch.context() as old:
        old.setattr(decoder, "understand", OldVersion.understand)
        branch.ship_now(office)
    follower = EventFollower(office, wanted=wanted)
    assert follower.to_the_end(1) == [("BEY-01", 2), ("BEY-01", 4)]
    with office.begin() as connection:
        assert quarantine.retry(connection, "BEY-01").released == 2
    assert follower.to_the_end(1) == [("BEY-01", each) for each in (2, 4, 1, 3)]
    assert EventFollower(office, wanted=wanted).to_the_end(3) == [("BEY-01", each) for each in (2, 4, 1, 3)]


def test_a_large_batch_is_listed_in_pages(office: Engine) -> None:
    branch = BranchLog("BEY-01")
    for number in range(2_500):
        if number % 500 == 3:
            branch.record("WASTE_RECORDED", reason="spoiled")
        else:
            branch.record("ORDER_DEDUCTION")
    branch.ship_now(office)
    assert EventFollower(office).to_the_end(700) == [("BEY-01", each) for each in range(1, 2_501)]
    wasted = EventFilter(types=["WASTE_RECORDED"])
    assert EventFollower(office, wanted=wasted).to_the_end(2) == [("BEY-01", each * 500 + 4) for each in range(5)]


KINDS: dict[str, dict[str, object]] = {
    "ORDER_DEDUCTION": {},
    "WASTE_RECORDED": {"reason": "spoiled"},
    "STOCKTAKE": {"counted": 5, "expected": 1},
    "TRANSFER_OUT": {"transfer_line": 1},
}
FILTERS = [
    EventFilter(item_id="milk"),
    EventFilter(item_id="tea", location_ids=["BEY-01"]),
    EventFilter(item_id="milk", types=["ORDER_DEDUCTION", "STOCKTAKE"]),
    EventFilter(types=["WASTE_RECORDED", "STOCKTAKE"]),
    EventFilter(types=["STOCKTAKE"], location_ids=["BEY-02"]),
    EventFilter(transfer_id="t-3"),
    EventFilter(transfer_id="t-3", types=["TRANSFER_OUT"], location_ids=["BEY-01"]),
]


def matches(each: ListedEvent, wanted: EventFilter) -> bool:
    event = each.event
    return (
        (wanted.location_ids is None or event.location_id in wanted.location_ids)
        and (wanted.item_id is None or event.item_id == wanted.item_id)
        and (wanted.types is None or event.type in wanted.types)
        and (wanted.transfer_id is None or event.transfer_id == wanted.transfer_id)
    )


def backwards(office: Engine, wanted: EventFilter, limit: int) -> list[Seen]:
    found: list[Seen] = []
    place = None
    while True:
        with office.connect() as connection:
            received = receipts(connection)
        with office.connect() as connection:
            page = events(connection, received, wanted, after=place, newest_first=True, limit=limit)
        found += [(each.event.location_id, each.event.sequence) for each in page.events]
        place = page.next
        if place is None:
            return found


def released_in_between(office: Engine, chance: Random) -> None:
    """Two branches' events in small batches, of which some come out of quarantine later."""
    logs = [BranchLog("BEY-01"), BranchLog("BEY-02")]
    with pytest.MonkeyPatch.context() as old:
        old.setattr(decoder, "understand", OldVersion.understand)
        for _ in range(60):
            log = chance.choice(logs)
            for _ in range(chance.randint(1, 4)):
                kind = chance.choice(list(KINDS))
                fields = dict(KINDS[kind])
                if kind == "TRANSFER_OUT":
                    fields["transfer_id"] = f"t-{chance.randint(1, 3)}"
                    fields["item_id"] = f"own-{len(log.sealed)}"
                else:
                    fields["item_id"] = chance.choice(["milk", "tea", "rice"])
                log.record(kind, note=chance.choice(["new", None, None, None]), **fields)
            log.ship_now(office)
            if chance.random() < 0.05:
                old.undo()
                with office.begin() as connection:
                    quarantine.retry(connection, log.location_id)
                old.setattr(decoder, "understand", OldVersion.understand)
    with office.begin() as connection:
        assert quarantine.retry(connection, "BEY-01").released


@pytest.mark.parametrize("before_index", [0, 8, 5_000])
def test_a_filter_leaves_of_the_list_what_matches(
    office: Engine, monkeypatch: pytest.MonkeyPatch, before_index: int
) -> None:
    monkeypatch.setattr(event_list, "EVENTS_BEFORE_INDEX", before_index)
    released_in_between(office, Random(before_index))
    whole = EventFollower(office)
    whole.to_the_end(1_000)
    for wanted in FILTERS:
        found = [(each.event.location_id, each.event.sequence) for each in whole.seen if matches(each, wanted)]
        assert found, wanted
        for limit in (1, 2, 3, 7, 1_000):
            assert EventFollower(office, wanted=wanted).to_the_end(limit) == found, (wanted, limit)
            assert backwards(office, wanted, limit) == found[::-1], (wanted, limit)


def test_a_selective_filter_reads_little_of_the_log(office: Engine) -> None:
    """What is far back, and what is in every second event: neither reads the log, or all events of the item."""
    quiet, busy = BranchLog("BEY-02"), BranchLog("BEY-01")
    quiet.record("STOCKTAKE", counted=5, expected=1)
    quiet.ship_now(office)
    busy.record("WASTE_RECORDED", reason="spoiled", item_id="cream")
    for number in range(20_000):
        busy.record("ORDER_DEDUCTION", item_id="hot" if number % 2 else f"item-{number % 300}")
    while busy.shipped < len(busy.sealed):
        with office.begin() as connection:
            busy.ship(connection, min(busy.shipped + 1_000, len(busy.sealed)))
    with office.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("VACUUM ANALYZE")
    for wanted in (
        EventFilter(types=["WASTE_RECORDED"]),
        EventFilter(types=["STOCKTAKE", "PURCHASE_RECEIVED"]),
        EventFilter(types=["ADJUSTMENT"], location_ids=["BEY-01"]),
        EventFilter(location_ids=["BEY-02"]),
        EventFilter(item_id="cream"),
        EventFilter(item_id="hot"),
        EventFilter(transfer_id="t-1"),
    ):
        for newest_first in (False, True):
            with office.connect() as connection:
                received = receipts(connection)
            with office.connect() as connection:
                page = events(connection, received, wanted, newest_first=newest_first, limit=10)
                assert len(page.events) == (10 if wanted.item_id == "hot" else 1 if page.events else 0)
                read = connection.exec_driver_sql(
                    "SELECT seq_tup_read + idx_tup_fetch FROM pg_stat_xact_user_tables WHERE relname = 'event'"
                ).scalar_one()
            assert read < 5_000, (wanted, newest_first, read)


def test_a_restored_head_office_is_followed_on(office: Engine) -> None:
    """The place of a follower is one that this database has not given yet."""
    branch = BranchLog("BEY-01")
    branch.record("ORDER_DEDUCTION")
    branch.ship_now(office)
    follower = EventFollower(office, ReceiptPlace(2**61, 9))
    assert follower.to_the_end() == []
    branch.record("ORDER_DEDUCTION")
    branch.ship_now(office)
    assert follower.to_the_end() == [("BEY-01", 2)]


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("ship"), st.sampled_from(PLACES), st.integers(1, 3)),
        st.tuples(st.just("end"), st.sampled_from(PLACES), st.booleans()),
        st.tuples(st.just("follow"), st.just(""), st.integers(1, 4)),
    ),
    max_size=30,
)


class OpenIngests:
    """Branches that push, each with at most one ingest that is not committed yet."""

    def __init__(self, office: Engine) -> None:
        self.office = office
        self.logs = {name: BranchLog(name) for name in PLACES}
        self.open: dict[str, tuple[Connection, RootTransaction, int]] = {}

    def ship(self, place: str, count: int) -> None:
        """Begin to ship that many new events; the transaction stays open."""
        if place in self.open:
            return
        log = self.logs[place]
        before = log.shipped
        for _ in range(count):
            log.record("ORDER_DEDUCTION")
        connection = self.office.connect()
        transaction = connection.begin()
        log.ship(connection)
        self.open[place] = connection, transaction, before

    def end(self, place: str, commit: bool) -> None:
        if place not in self.open:
            return
        connection, transaction, before = self.open.pop(place)
        if commit:
            transaction.commit()
        else:
            transaction.rollback()
            self.logs[place].shipped = before
        connection.close()


@pytest.fixture
def ingests(office: Engine) -> Iterator[OpenIngests]:
    with ExitStack() as ending:
        running = OpenIngests(office)
        ending.callback(lambda: [running.end(place, commit=False) for place in PLACES])  # type: ignore[func-returns-value]
        yield running


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS, commit_last=st.permutations(PLACES))
def test_whatever_the_order_of_commits_every_event_comes_once_in_the_order_of_receipt(
    office: Engine, ingests: OpenIngests, steps: list[tuple[str, str, int]], commit_last: list[str]
) -> None:
    follower = EventFollower(office)
    follower.to_the_end()
    for kind, place, what in steps:
        if kind == "ship":
            ingests.ship(place, what)
        elif kind == "end":
            ingests.end(place, bool(what))
        else:
            follower.page(what)
    for place in commit_last:
        ingests.end(place, commit=True)
    seen = follower.to_the_end(3)
    assert len(seen) == len(set(seen))
    assert set(seen) == everything(office)
    places = [(each.received_at, each.event.sequence) for each in follower.seen]
    assert places == sorted(places)
    assert seen == EventFollower(office).to_the_end(1_000)
    with office.connect() as connection:
        received = receipts(connection)
    with office.connect() as connection:
        backwards = events(connection, received, newest_first=True, limit=1_000).events
    assert [(each.event.location_id, each.event.sequence) for each in backwards] == seen[::-1][:1_000]
