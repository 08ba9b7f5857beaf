"""The group's event list, followed by its cursor: every event once, in the order of receipt, whatever is received."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, Engine, text
from sqlalchemy.engine import RootTransaction

from head_office.database.receipts import ReceiptPlace, receipts
from head_office.log import decoder, quarantine
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
