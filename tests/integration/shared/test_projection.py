"""The projection's SQL says what the fold says, on both databases, as of every moment and known through every event."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from sqlalchemy import BigInteger, Engine, MetaData, bindparam, create_engine, literal, select

from shared import stock
from shared.event_log import append, create_head, log_tables
from shared.events import Event
from shared.projection import (
    balances,
    load_standings,
    refold,
    stock_table,
    store_standings,
)
from shared.stock_expressions import EventScope
from tests.support.advancing import advance_all
from tests.support.events import MINUTE, NOON, seal_all
from tests.support.histories import histories

METADATA = MetaData()
TABLES = log_tables(METADATA, consolidated=False)
STOCK = stock_table(METADATA)


@pytest.fixture(params=["sqlite", "postgresql"])
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    url = "sqlite://"
    if request.param == "postgresql":
        make: Callable[[], str] = request.getfixturevalue("postgres_url_factory")
        url = make()
    made = create_engine(url)
    METADATA.create_all(made)
    yield made
    made.dispose()


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(histories(max_size=15))
def test_sql_agrees_with_the_fold(engine: Engine, events: list[Event]) -> None:
    sealed = seal_all(events)
    story = [stock.movement(each.event) for each in sealed]
    with engine.connect() as connection, connection.begin() as transaction:
        create_head(connection, TABLES, "BEY-01")
        append(connection, TABLES, sealed)
        standings: dict[str, stock.Standing] = {}
        again = advance_all(standings, [("milk", each) for each in story], {each.sequence: each for each in story})
        fresh = refold(connection, TABLES, "BEY-01", ["milk", "never-seen"])
        assert fresh.keys() == ({"milk"} if story else set())
        if story and not again:
            assert fresh == standings
        store_standings(connection, STOCK, "BEY-01", fresh)
        assert load_standings(connection, STOCK, "BEY-01") == fresh
        assert load_standings(connection, STOCK, "BEY-01", ["other"]) == {}
        pairs = select(literal("BEY-01").label("location_id"), literal("milk").label("item_id")).subquery("pairs")
        scope = EventScope(bindparam("moment", type_=BigInteger), bindparam("known_through", type_=BigInteger))
        query = balances(TABLES, pairs, scope)
        for moment in (NOON + minute * MINUTE for minute in range(-1, 10)):
            for known_through in {0, len(story) // 2, len(story)}:
                row = connection.execute(query, {"moment": moment, "known_through": known_through}).one()
                told = stock.fold(story, as_of=moment, known_through=known_through)
                assert (row.on_hand, row.reserved, bool(row.recount)) == (told.on_hand, told.reserved, told.recount)
                assert row.counted_sequence == (told.last_count.sequence if told.last_count else None)
        transaction.rollback()
