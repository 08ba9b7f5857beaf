"""A branch on either database and head office publish the same bytes from the same log, and what the fold says."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, Engine, create_engine

from branch_node.database.branch_outbox import BranchOutboxLog
from branch_node.database.schema import LOCATION, LOG, VERSION_TABLE
from branch_node.database.store import MIGRATIONS
from head_office.database import schema as office_schema
from head_office.log import decoder, quarantine
from head_office.log.ingest import ingest
from head_office.log.office_outbox import office_outbox
from shared import wire
from shared.chain import EMPTY, Head, Sealed, understand
from shared.event_log import append, create_head
from shared.events import Event, Parent
from shared.outbox.log_standings import standings_at
from shared.outbox.message_cursor import BEFORE_ALL, MAX_PART, MessageCursor
from shared.outbox.outbox_reader import OutboxReader
from shared.runtime.database.engine import database_engine
from shared.runtime.database.migrations import migrate
from shared.runtime.problems import Problem
from shared.stock import fold, movement
from tests.support.consolidation import Branch, OldVersion, open_location
from tests.support.events import an_event, seal_all
from tests.support.published import PLACE, expected, logs, read_all, reader_of, reserved, told

WITH_DATABASES = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
LIMITS = st.lists(st.integers(1, 6), min_size=1, max_size=3)


@pytest.fixture(params=["sqlite", "postgresql"])
def branch(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    """The database of a branch with an empty log."""
    url = f"sqlite:///{tmp_path / 'branch.db'}"
    if request.param == "postgresql":
        make: Callable[[], str] = request.getfixturevalue("postgres_url_factory")
        url = make()
    engine = database_engine(url)
    migrate(engine, MIGRATIONS, VERSION_TABLE)
    with engine.begin() as connection:
        create_head(connection, LOG, PLACE)
        # The logs are made up: reservations in them promise what is not there.
        here = {"location_id": PLACE, "name": PLACE, "timezone": "Asia/Beirut", "day_start": 0, "replaying": True}
        connection.execute(LOCATION.insert().values(here))
    yield engine
    engine.dispose()


def one_location(url: str) -> None:
    engine = create_engine(url)
    migrate(engine, office_schema.MIGRATIONS, office_schema.VERSION_TABLE)
    with engine.begin() as connection:
        open_location(connection)
    engine.dispose()


@pytest.fixture
def office(postgres_url_factory: Callable[..., str]) -> Iterator[Engine]:
    engine = create_engine(postgres_url_factory(one_location))
    yield engine
    engine.dispose()


@contextmanager
def undone(engine: Engine) -> Iterator[Connection]:
    with engine.connect() as connection, connection.begin() as transaction:
        yield connection
        transaction.rollback()


def ship(connection: Connection, sealed: list[Sealed], cuts: list[int]) -> None:
    """In batches that end where they will, also within commands."""
    start = turn = 0
    while start < len(sealed):
        part = sealed[start : start + cuts[turn % len(cuts)]]
        before = sealed[start - 1].hash if start else EMPTY.hash
        body = wire.pack(PLACE, 1, start + 1, before, [each.line for each in part])
        ingest(connection, wire.unpack(body))
        start += len(part)
        turn += 1


def of_the_office(connection: Connection) -> OutboxReader:
    return OutboxReader(office_outbox(lambda: nullcontext(connection)))


@WITH_DATABASES
@given(logs(), LIMITS, LIMITS, st.booleans())
def test_branch_and_head_office_publish_the_same_bytes(
    branch: Engine, office: Engine, events: list[Event], limits: list[int], cuts: list[int], from_messages: bool
) -> None:
    sealed = seal_all(events)
    with undone(branch) as here, undone(office) as there:
        append(here, LOG, sealed)
        log = BranchOutboxLog(here, PLACE)
        found = read_all(reader_of(log), limits=limits, from_messages=from_messages)
        assert [told(each) for each in found] == expected(sealed)
        ship(there, sealed, cuts)
        reader = of_the_office(there)
        assert read_all(reader) == found
        assert read_all(reader, limits=limits, from_messages=from_messages) == found
        assert reader.end(PLACE) == reader_of(log).end(PLACE)


@WITH_DATABASES
@given(logs())
def test_figures_at_any_place_are_those_of_the_fold(branch: Engine, office: Engine, events: list[Event]) -> None:
    sealed = seal_all(events)
    with undone(branch) as here, undone(office) as there:
        append(here, LOG, sealed)
        ship(there, sealed, [100])
        for through in {0, len(events) // 2, len(events)}:
            at_branch = standings_at(here, LOG, PLACE, ["milk", "bread", "never-seen"], through)
            assert at_branch == standings_at(there, office_schema.LOG, PLACE, ["milk", "bread", "never-seen"], through)
            assert at_branch.keys() == {"milk", "bread", "never-seen"}
            for item_id, standing in at_branch.items():
                story = [movement(each) for each in events if each.item_id == item_id and each.sequence <= through]
                balance = fold(story)
                figures = (balance.on_hand, reserved(story), balance.last_count, balance.recount)
                assert (standing.on_hand, standing.reserved, standing.last_count, standing.recount) == figures


@WITH_DATABASES
@given(logs(), st.data(), LIMITS)
def test_what_is_in_quarantine_is_waited_for_and_nothing_published_is_wrong(
    office: Engine, events: list[Event], data: st.DataObject, limits: list[int]
) -> None:
    for event in data.draw(st.lists(st.sampled_from(events), max_size=2)) if events else []:
        event.note = "new: not known to an older version"
    sealed = seal_all(events)
    with undone(office) as there:
        decoder.understand = OldVersion.understand  # type: ignore[attr-defined]
        try:
            ship(there, sealed, [100])
        finally:
            decoder.understand = understand  # type: ignore[attr-defined]
        held = quarantined_from(there)
        reader = of_the_office(there)
        before = read_all(reader, limits=limits)
        place = reader.read(PLACE, read_to(reader), None, 100)
        assert (place.waits_for is None) == (held is None)
        assert held is None or (place.waits_for is not None and place.waits_for.sequence == held)
        # Behind the quarantine come only messages that are published once all is folded, too.
        passed = MessageCursor(1, data.draw(st.integers(0, len(events))), MAX_PART)
        behind = read_all(reader, after=passed)
        assert quarantine.retry(there, PLACE).remaining == 0
        whole = read_all(of_the_office(there))
        assert [told(each) for each in whole] == expected(sealed)
        assert [*before, *read_all(reader, limits=limits, after=place.next)] == whole
        assert [each for each in whole if each in behind] == behind


def test_both_go_on_in_another_epoch_from_a_cursor_that_was_lost(branch: Engine, office: Engine) -> None:
    first = seal_all([an_event(seed=seed) for seed in range(1, 4)])
    parent = Head(2, 3, first[-1].hash)
    opened = an_event("EPOCH_OPENED", seed=4, parent=Parent(epoch=1, sequence=3, hash=parent.hash.hex()))
    second = seal_all([opened, an_event(seed=5), an_event(seed=6)], parent)
    with undone(branch) as here, undone(office) as there:
        append(here, LOG, [*first, *second])
        ship(there, first, [10])
        ingest(there, wire.unpack(wire.pack(PLACE, 2, 4, parent.hash, [each.line for each in second])))
        readers = reader_of(BranchOutboxLog(here, PLACE)), of_the_office(there)
        whole = read_all(readers[0])
        assert [each.type for each in whole][3] == "larder.LogContinued"
        for reader in readers:
            assert read_all(reader, limits=[2]) == whole
            for lost in (4, 5, 90):
                assert read_all(reader, after=MessageCursor(1, lost, 0)) == whole[3:]
            assert read_all(reader, after=MessageCursor(1, 2, 0)) == whole[2:]
            assert reader.end(PLACE) == MessageCursor(2, 6, MAX_PART)
            with pytest.raises(Problem, match="cursor-ahead"):
                reader.read(PLACE, MessageCursor(3, 1, 0), None, 10)


@pytest.mark.parametrize(
    ("spoilt", "items"),
    [
        ({"note": "new"}, ["bread"]),  # of milk
        ({"type": "STOCK_BLESSED", "note": "new"}, ["bread"]),  # an unknown type, of milk
        ({"type": "STOCK_BLESSED", "item_id": None, "note": "new"}, []),  # it may be of any item
        ({"type": "EVENT_REVIEWED", "item_id": None, "note": "new"}, ["milk", "bread", "milk"]),  # of no item
    ],
)
def test_behind_the_quarantine_nothing_is_said_of_items_whose_figures_it_may_change(
    office: Engine, spoilt: dict[str, str | None], items: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    sold = [an_event(seed=seed, item_id=item) for seed, item in enumerate(("milk", "milk", "bread", "milk"), start=1)]
    log = Branch().record(sold[:1])
    plain = {**msgspec.json.decode(log.lines.pop()), **spoilt}
    log.hashes.pop()
    log.scrawl([msgspec.json.encode({name: value for name, value in plain.items() if value is not None})])
    log.record(sold[1:])
    monkeypatch.setattr(decoder, "understand", OldVersion.understand)
    with undone(office) as there:
        ingest(there, wire.unpack(log.pack(1, 4)))
        reader = of_the_office(there)
        page = reader.read(PLACE, BEFORE_ALL, None, 10)
        assert page.messages == []
        assert page.waits_for is not None
        assert page.waits_for.sequence == 1
        behind = read_all(reader, after=MessageCursor(1, 1, MAX_PART))
        assert [told(each)["subject"] for each in behind] == items


def read_to(reader: OutboxReader) -> MessageCursor:
    after = BEFORE_ALL
    while True:
        page = reader.read(PLACE, after, None, 100)
        if page.next == after:
            return after
        after = page.next


def quarantined_from(connection: Connection) -> int | None:
    rows = quarantine.listed(connection, location_id=PLACE, limit=1)
    return rows[0].sequence if rows else None
