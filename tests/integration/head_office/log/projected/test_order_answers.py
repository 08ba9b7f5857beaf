"""Where a log answers what head office asked: kept as its events arrive, wherever batches are cut."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine

from head_office.log import decoder
from head_office.log.ingest import ingest
from head_office.log.projected.order_answer_projection import LoggedAnswer, logged_answers, stored_answers
from head_office.log.quarantine import retry
from head_office.reports.verification import verify
from shared import wire
from shared.events import Event
from tests.support.consolidation import PLACE, Branch, OldVersion, quarantined
from tests.support.events import an_event

ASKED = "larder:inbound:shop:asked:"


def command(first: int, lines: int, key: str, *, note: str | None = None) -> list[Event]:
    """The events of one command, its key on the first."""
    return [
        an_event(
            "CUSTOMER_RETURN",
            seed=first + line,
            line=line + 1,
            lines=lines,
            command_key=key if line == 0 else None,
            note=note,
        )
        for line in range(lines)
    ]


def answers_of(office: Engine) -> set[LoggedAnswer]:
    with office.connect() as connection:
        found = stored_answers(connection, PLACE)
        assert found == logged_answers(connection, PLACE)
        return found


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.tuples(st.integers(1, 4), st.sampled_from([f"{ASKED}1", f"{ASKED}2", "larder:inbound:shop:3", "k"])))
)
def test_in_any_split_of_batches(office: Engine, commands: list[tuple[int, str]]) -> None:
    events: list[Event] = []
    expected: dict[str, LoggedAnswer] = {}
    for lines, key in commands:
        if key.startswith(ASKED):
            expected.setdefault(key, LoggedAnswer(key, len(events) + 1, lines))
        events += command(len(events) + 1, lines, key)
    branch = Branch().record(events)
    for size in (1, 3, len(events) or 1):
        with office.connect() as connection, connection.begin() as transaction:
            for first in range(1, len(events) + 1, size):
                body = branch.pack(first, min(first + size - 1, len(events)))
                ingest(connection, wire.unpack(body))
            assert stored_answers(connection, PLACE) == set(expected.values()) == logged_answers(connection, PLACE)
            transaction.rollback()


def test_an_answer_in_quarantine_is_none_until_it_is_folded(office: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    branch = Branch().record([*command(1, 2, f"{ASKED}1", note="new"), *command(3, 1, f"{ASKED}1")])
    with monkeypatch.context() as patched:
        patched.setattr(decoder, "understand", OldVersion.understand)
        branch.ship(office)
    assert answers_of(office) == {LoggedAnswer(f"{ASKED}1", 3, 1)}
    with office.begin() as connection:
        retry(connection, PLACE)
        assert quarantined(connection) == {}
    assert answers_of(office) == {LoggedAnswer(f"{ASKED}1", 1, 2)}  # the earlier command of a key counts
    with office.connect() as connection:
        assert verify(connection).ok


def test_a_key_that_the_database_cannot_hold_is_quarantined(office: Engine) -> None:
    Branch().record(command(1, 1, f"{ASKED}\x00")).ship(office)
    with office.connect() as connection:
        assert "U+0000" in quarantined(connection)[1]
    assert answers_of(office) == set()
