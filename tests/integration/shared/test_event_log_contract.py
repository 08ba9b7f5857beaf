"""What every log keeps, on both databases: gapless, chained, one writer, never changed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError, IntegrityError

from branch_node.database.schema import LOG
from shared.chain import EMPTY, Head, canonical, seal, understand
from shared.event_log import APPEND_ONLY, StaleHead, append, hash_at, read_after, read_head
from shared.runtime.database.engine import problem_of
from tests.support.branch import PLACE, branch_store
from tests.support.events import an_event, seal_all
from tests.support.log_check import BrokenChain, verify_log


@pytest.fixture(params=["sqlite", "postgresql"])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    url = None
    if request.param == "postgresql":
        make: Callable[[], str] = request.getfixturevalue("postgres_url_factory")
        url = make()
    store = branch_store(tmp_path, url)
    engine = store.writing_engine()
    yield engine
    engine.dispose()
    store.close()


def log_of(engine: Engine, count: int) -> list[bytes]:
    """A log of that many events; their lines."""
    sealed = seal_all([an_event(seed=place + 1, command_key=f"k{place}") for place in range(count)])
    with engine.begin() as connection:
        append(connection, LOG, sealed)
    return [each.line for each in sealed]


def test_what_was_appended_is_read_in_order_byte_for_byte(engine: Engine) -> None:
    lines = log_of(engine, 7)
    with engine.connect() as connection:
        assert [entry.line for entry in read_after(connection, LOG, 0, 100)] == lines
        assert [entry.sequence for entry in read_after(connection, LOG, 4, 2)] == [5, 6]
        assert read_after(connection, LOG, 7, 10) == []
        head = read_head(connection, LOG, PLACE)
        assert head is not None
        assert (head.epoch, head.sequence) == (1, 7)
        assert hash_at(connection, LOG, PLACE, 7) == head.hash == verify_log(connection, LOG, page=2).hash
        assert hash_at(connection, LOG, PLACE, 0) == EMPTY.hash
        assert hash_at(connection, LOG, PLACE, 8) is None
        assert read_head(connection, LOG, "TRI-01") is None
    assert [canonical(understand(line)) for line in lines] == lines


def test_an_empty_log_verifies(engine: Engine) -> None:
    with engine.connect() as connection:
        assert verify_log(connection, LOG) == EMPTY
        append(connection, LOG, [])
        assert read_head(connection, LOG, PLACE) == EMPTY


def test_nothing_of_a_rolled_back_append_stays(engine: Engine) -> None:
    log_of(engine, 2)
    with engine.connect() as connection:
        head = read_head(connection, LOG, PLACE)
        assert head is not None
        transaction = connection.get_transaction()
        append(connection, LOG, [seal(an_event(seed=9), head, 1_800_000_000_000_000)])
        assert transaction is not None
        transaction.rollback()
        assert read_head(connection, LOG, PLACE) == head
        assert len(read_after(connection, LOG, 0, 10)) == 2


def test_a_second_writer_is_noticed_by_the_head(engine: Engine) -> None:
    log_of(engine, 3)
    behind = Head(1, 2, bytes(32))
    with pytest.raises(StaleHead) as caught, engine.begin() as connection:
        append(connection, LOG, [seal(an_event(seed=9), behind, 1_800_000_000_000_000)])
    assert caught.value.remembered == 2
    with engine.connect() as connection:
        assert verify_log(connection, LOG).sequence == 3


@pytest.mark.parametrize("column", ["event_id", "command_key"])
def test_an_id_or_key_is_recorded_once(engine: Engine, column: str) -> None:
    log_of(engine, 3)
    with engine.connect() as connection:
        head = read_head(connection, LOG, PLACE)
    assert head is not None
    again = an_event(seed=2) if column == "event_id" else an_event(seed=99, command_key="k1")
    with pytest.raises(Exception, match=column) as caught, engine.begin() as connection:
        append(connection, LOG, [seal(again, head, 1_800_000_000_000_000)])
    assert problem_of(caught.value) is None
    with engine.connect() as connection:
        assert verify_log(connection, LOG).sequence == 3


def test_an_event_is_voided_once(engine: Engine) -> None:
    log_of(engine, 1)
    with engine.connect() as connection:
        head = read_head(connection, LOG, PLACE)
    assert head is not None
    target = an_event(seed=1)
    twice = []
    for seed in (10, 11):
        fields = {"voided_event_id": target.event_id, "voided_sequence": 1, "reason": "mistake"}
        twice.append(seal(an_event("EVENT_VOIDED", seed=seed, **fields), head, 1_800_000_000_000_000))
        head = Head(1, head.sequence + 1, twice[-1].hash)
    with pytest.raises(IntegrityError), engine.begin() as connection:
        append(connection, LOG, twice)


CHANGES = (
    "UPDATE event SET line = line",
    "UPDATE event SET occurred_at = occurred_at + 1 WHERE sequence = 2",
    "DELETE FROM event",
    "DELETE FROM event WHERE sequence = 3",
    "UPDATE voided SET by_sequence = by_sequence + 1",
    "DELETE FROM voided",
)


def with_a_void(engine: Engine) -> None:
    log_of(engine, 2)
    with engine.begin() as connection:
        head = read_head(connection, LOG, PLACE)
        assert head is not None
        fields = {"voided_event_id": an_event(seed=2).event_id, "voided_sequence": 2, "reason": "mistake"}
        append(connection, LOG, [seal(an_event("EVENT_VOIDED", seed=10, **fields), head, 1_800_000_000_000_000)])


@pytest.mark.parametrize("change", CHANGES)
def test_no_event_is_changed_or_deleted(engine: Engine, change: str) -> None:
    with_a_void(engine)
    with pytest.raises(DBAPIError, match=APPEND_ONLY), engine.begin() as connection:
        connection.execute(text(change))
    with engine.connect() as connection:
        assert verify_log(connection, LOG).sequence == 3


@pytest.mark.parametrize("table", ["event", "voided"])
def test_the_log_cannot_be_emptied_or_written_over(engine: Engine, table: str) -> None:
    with_a_void(engine)
    if engine.dialect.name == "postgresql":
        changes = [
            f"TRUNCATE {table}",
            f"INSERT INTO {table} SELECT * FROM {table} ON CONFLICT ON CONSTRAINT {table}_pkey"
            " DO UPDATE SET location_id = 'TRI-01'",
        ]
    else:
        changes = [f"INSERT OR REPLACE INTO {table} SELECT * FROM {table}"]
    for change in changes:
        with pytest.raises(DBAPIError, match=APPEND_ONLY), engine.begin() as connection:
            connection.execute(text(change))
    with engine.connect() as connection:
        assert verify_log(connection, LOG).sequence == 3


def tamper(connection: Connection, change: str) -> None:
    """What somebody does who may drop triggers."""
    if connection.dialect.name == "sqlite":
        for name in ("event_no_update", "event_no_delete"):
            connection.execute(text(f"DROP TRIGGER {name}"))
    else:
        connection.execute(text("ALTER TABLE event DISABLE TRIGGER event_no_change"))
    connection.execute(text(change))


@pytest.mark.parametrize(
    ("change", "broken_at"),
    [
        ("UPDATE event SET line = (SELECT line FROM event WHERE sequence = 4) WHERE sequence = 5", 5),
        ("UPDATE event SET hash = (SELECT hash FROM event WHERE sequence = 1) WHERE sequence = 3", 3),
        ("DELETE FROM event WHERE sequence = 2", 2),
        ("DELETE FROM event WHERE sequence = 7", 7),
    ],
)
def test_whoever_gets_past_the_triggers_breaks_the_chain(engine: Engine, change: str, broken_at: int) -> None:
    log_of(engine, 7)
    with engine.begin() as connection:
        tamper(connection, change)
    with engine.connect() as connection, pytest.raises(BrokenChain) as caught:
        verify_log(connection, LOG, page=3)
    assert caught.value.sequence == broken_at


@pytest.mark.parametrize("byte", [0, 37, -2])
def test_a_single_flipped_bit_is_found(engine: Engine, byte: int) -> None:
    lines = log_of(engine, 5)
    flipped = bytearray(lines[2])
    flipped[byte] ^= 1
    with engine.begin() as connection:
        tamper(connection, "UPDATE event SET line = line")
        change = LOG.event.update().where(LOG.event.c.sequence == 3).values(line=bytes(flipped))
        connection.execute(change)
    with engine.connect() as connection, pytest.raises(BrokenChain) as caught:
        verify_log(connection, LOG)
    assert caught.value.sequence == 3
