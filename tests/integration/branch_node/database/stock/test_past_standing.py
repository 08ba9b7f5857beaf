"""What stood of an item once an event was recorded: taken off what stands now, or folded by SQL; both as the fold."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, create_engine

from branch_node.database.lookups import standing_then
from branch_node.database.schema import LOG, metadata
from branch_node.database.stock.past_standing import PastStandings
from shared.event_log import append, create_head
from shared.events import Event
from shared.projection import refold
from shared.stock import fold, movement
from tests.support.branch import PLACE
from tests.support.events import seal_all
from tests.support.histories import histories


@pytest.fixture
def engine() -> Iterator[Engine]:
    made = create_engine("sqlite://")
    metadata.create_all(made)
    yield made
    made.dispose()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(histories(max_size=15), st.integers(0, 15))
def test_a_past_standing_is_the_fold_up_to_its_event(engine: Engine, events: list[Event], after: int) -> None:
    sealed = seal_all(events)
    story = [movement(each.event) for each in sealed]
    with engine.connect() as connection, connection.begin() as transaction:
        create_head(connection, LOG, PLACE)
        append(connection, LOG, sealed)
        now = refold(connection, LOG, PLACE, ["milk"])
        oldest = min(after, len(story))
        past = PastStandings(connection, now, oldest, len(story))
        for sequence in range(1, len(story) + 1):
            folded = fold(story, known_through=sequence)
            promised = sum(each.reserved_change or 0 for each in story[:sequence])
            found = standing_then(connection, PLACE, "milk", known_through=sequence)
            assert (found.on_hand, found.reserved, found.recount) == (folded.on_hand, promised, folded.recount)
            quick = past.standing("milk", sequence)
            if quick is not None:
                assert sequence >= oldest
                assert (quick.on_hand, quick.reserved, quick.recount) == (folded.on_hand, promised, folded.recount)
        transaction.rollback()
