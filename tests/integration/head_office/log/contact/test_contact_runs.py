"""Runs of calls: one for calls of one verdict without a long silence; what they say of a past moment stays."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from sqlalchemy import Engine, select, text

from head_office.database.contact_tables import CONTACT_RUN
from head_office.database.schema import CONTACT
from head_office.log.contact.contact_runs import moment_of_call
from head_office.reports.known_at import report_snapshot, take_cut
from head_office.reports.purchasing.location_states import location_states
from head_office.reports.purchasing.purchasing_records import LocationState
from shared.messages import Verdict
from shared.runtime.clock import DAY
from tests.support.consolidation import PLACE
from tests.support.events import MINUTE, NOON

CLOCK = "CREATE OR REPLACE FUNCTION larder_now() RETURNS bigint LANGUAGE sql VOLATILE AS 'SELECT {}::bigint'"
HOUR = 60 * MINUTE


def call(office: Engine, at: int, verdict: Verdict = Verdict.OK) -> None:
    """A branch calls at a moment and is told this."""
    with office.begin() as connection:
        connection.execute(text(CLOCK.format(at)))
    with office.begin() as connection:
        moment = moment_of_call(connection, PLACE, verdict)
        row: dict[str, Any] = {
            "location_id": PLACE, "contacted_at": moment, "epoch": 1, "sequence": 0, "verdict": verdict.value,
            "protocol": 1, "schema": 1, "software": "larder 1",
        }  # fmt: skip
        connection.execute(CONTACT.delete())
        connection.execute(CONTACT.insert().values(**row))


def runs(office: Engine) -> list[tuple[Any, ...]]:
    run = CONTACT_RUN.c
    with office.connect() as connection:
        query = select(run.began_at, run.ended_at, run.verdict).order_by(run.began_at)
        return [tuple(each) for each in connection.execute(query)]


def states(office: Engine, moments: list[int]) -> list[LocationState]:
    found = []
    for moment in moments:
        with report_snapshot(office, moment) as (connection, settled):
            cut = take_cut(connection, settled)
            found.append(location_states(connection, cut, [PLACE], given=True)[PLACE].state)
    return found


def test_a_run_ends_with_another_verdict_or_a_silence(office: Engine) -> None:
    for minutes in (0, 30, 100, 1_000):
        call(office, NOON + minutes * MINUTE)
    assert runs(office) == [(NOON, None, "OK")]
    call(office, NOON + 20 * HOUR, Verdict.ROLLED_BACK)
    last = NOON + 1_000 * MINUTE
    assert runs(office) == [(NOON, last, "OK"), (NOON + 20 * HOUR, None, "ROLLED_BACK")]
    call(office, NOON + 5 * DAY, Verdict.ROLLED_BACK)
    silent = (NOON + 20 * HOUR, NOON + 20 * HOUR, "ROLLED_BACK")
    assert runs(office) == [(NOON, last, "OK"), silent, (NOON + 5 * DAY, None, "ROLLED_BACK")]


def test_what_was_said_of_a_moment_stays(office: Engine) -> None:
    told: dict[int, LocationState] = {}
    ok, forked = Verdict.OK, Verdict.FORKED
    calls = [(0, ok), (23, ok), (30, forked), (31, ok), (54, ok), (90, ok), (130, ok)]
    for (hours, verdict), (following, _) in pairwise(calls):
        call(office, NOON + hours * HOUR, verdict)
        for later in range(hours, following, 5):
            moment = NOON + later * HOUR + 1
            with office.begin() as connection:
                connection.execute(text(CLOCK.format(moment)))
            told[moment] = states(office, [moment])[0]
    with office.begin() as connection:
        connection.execute(text(CLOCK.format(NOON + 30 * DAY)))
    assert states(office, list(told)) == list(told.values())
    asked = [NOON - 1, NOON, NOON + 30 * HOUR, NOON + 54 * HOUR, NOON + 79 * HOUR, NOON + 90 * HOUR, NOON + 120 * HOUR]
    fresh, blind, incomplete = LocationState.FRESH, LocationState.BLIND, LocationState.INCOMPLETE
    assert states(office, asked) == [blind, fresh, incomplete, fresh, blind, fresh, blind]
