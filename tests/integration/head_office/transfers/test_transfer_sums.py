"""What head office restates of the rules of transfers in SQL, against `shared.transfers` over the events themselves."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, Engine, select, text

from head_office.database.schema import TRANSFER_LINE, now
from head_office.log.rebuild import rebuild
from head_office.reports.conservation import conservation
from head_office.reports.in_transit import in_transit
from head_office.transfers import instructions
from head_office.transfers.transfer_facts import facts
from shared.events import Event
from shared.messages import Instruction, InstructionLine, InstructionStep
from shared.transfers import SIGNS, TransferTotals, answered, site_of, totals
from tests.support.branch_log import BranchLog

PLACES = ("BEY-01", "BEY-02", "WH-1")
SOURCE, DESTINATION = PLACES[:2]
UNITS = {"milk": "l", "tea": "kg"}
TRANSFERS = ("a", "b")
GIVEN = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

STEPS = st.lists(
    st.tuples(
        st.sampled_from([SOURCE, DESTINATION, SOURCE, DESTINATION, "WH-1"]),
        st.sampled_from(["TRANSFER_OUT", "TRANSFER_IN", "TRANSFER_LOST", "TRANSFER_REFUSED", "reverse", "ADJUSTMENT"]),
        st.sampled_from(TRANSFERS),
        st.sampled_from(sorted(UNITS)),
        st.integers(1, 3),
    ),
    max_size=14,
)


@st.composite
def logs(draw: st.DrawFn) -> dict[str, BranchLog]:
    """Logs with any events of two transfers at any site: each OUT at most once, and reversed at most once."""
    found = {place: BranchLog(place) for place in PLACES}
    sent: dict[tuple[str, str, str], Event] = {}
    reversed_: set[tuple[str, str, str]] = set()
    for place, kind, transfer_id, item_id, quantity in draw(STEPS):
        log, key = found[place], (place, transfer_id, item_id)
        line: dict[str, object] = {"transfer_id": transfer_id, "item_id": item_id, "unit": UNITS[item_id]}
        line["quantity"] = quantity * 1_000
        if kind == "TRANSFER_REFUSED":
            log.record(kind, transfer_id=transfer_id, reason="no-room")
        elif kind == "ADJUSTMENT":
            log.record(kind, **line, reason="over-received")
        elif kind == "TRANSFER_OUT":
            if key not in sent:
                log.record(kind, **line, transfer_line=1)
                sent[key] = log.sealed[-1].event
        elif kind != "reverse":
            log.record(kind, **line, transfer_line=1, **({"reason": "broken"} if kind == "TRANSFER_LOST" else {}))
        elif key in sent and key not in reversed_:
            reversed_.add(key)
            out = sent[key]
            line["quantity"] = out.quantity
            log.record(
                "TRANSFER_REVERSED",
                **line,
                transfer_line=1,
                voided_event_id=out.event_id,
                voided_sequence=out.sequence,
            )
    return found


@contextmanager
def shipped(office: Engine, logs: dict[str, BranchLog]) -> Iterator[Connection]:
    """A connection that sees the logs, each shipped in two parts; nothing is kept."""
    with office.connect() as connection, connection.begin() as transaction:
        for log in logs.values():
            log.shipped = 0
            for last in (len(log.sealed) // 2, len(log.sealed)):
                if last > log.shipped:
                    log.ship(connection, last)
        yield connection
        transaction.rollback()


def sums(logs: dict[str, BranchLog], transfer_id: str, *places: str) -> TransferTotals:
    return totals(
        each.event for place in places or PLACES for each in logs[place].sealed if each.event.transfer_id == transfer_id
    )


def amounts(found: TransferTotals, item_id: str) -> tuple[int, ...]:
    return tuple(getattr(found, name).get(item_id, 0) for name in SIGNS)


@GIVEN
@given(logs())
def test_lines_are_the_sums(office: Engine, logs: dict[str, BranchLog]) -> None:
    expected = {
        (place, transfer_id, item_id, *amounts(found, item_id))
        for place in PLACES
        for transfer_id in TRANSFERS
        for found in [sums(logs, transfer_id, place)]
        for item_id in found.in_transit
    }
    columns = [TRANSFER_LINE.c[name] for name in ("location_id", "transfer_id", "item_id", *SIGNS)]
    with shipped(office, logs) as connection:
        assert {tuple(row) for row in connection.execute(select(*columns))} == expected
        assert rebuild(connection).corrected["transfer_line"] == 0
        connection.execute(text("DELETE FROM transfer_line"))
        rebuild(connection)
        assert {tuple(row) for row in connection.execute(select(*columns))} == expected


@GIVEN
@given(logs())
def test_report_shows_what_is_in_transit(office: Engine, logs: dict[str, BranchLog]) -> None:
    expected = {
        (transfer_id, item_id): quantity
        for transfer_id in TRANSFERS
        for item_id, quantity in sums(logs, transfer_id).in_transit.items()
        if quantity
    }
    with shipped(office, logs) as connection:
        for known_at in (None, now(connection)):
            rows = in_transit(connection, known_at=known_at).rows  # type: ignore[arg-type]
            assert {(row.transfer_id, row.item_id): row.in_transit for row in rows} == expected
            items = conservation(connection, known_at=known_at).items  # type: ignore[arg-type]
            for item in items:
                found = [sums(logs, transfer_id) for transfer_id in TRANSFERS]
                assert item.in_transit == sum(each.in_transit.get(item.item_id, 0) for each in found)
                assert item.lost == sum(each.lost.get(item.item_id, 0) for each in found)
            assert {item_id for _, item_id in expected} <= {item.item_id for item in items}


@GIVEN
@given(logs())
def test_instructions_are_open_until_answered_and_kept_until_over(office: Engine, logs: dict[str, BranchLog]) -> None:
    asked = [
        Instruction(
            transfer_id=transfer_id,
            step=step,
            token=1,
            location_id=site_of(step, SOURCE, DESTINATION),
            source=SOURCE,
            destination=DESTINATION,
            lines=(InstructionLine(1, "milk", 1_000, "l"),),
        )
        for transfer_id in TRANSFERS
        for step in InstructionStep
    ]
    is_answered = {
        (each.transfer_id, each.step): answered(
            each.step,
            {
                sealed.event.type
                for sealed in logs[each.location_id].sealed
                if sealed.event.transfer_id == each.transfer_id
            },
        )
        for each in asked
    }
    with shipped(office, logs) as connection, pytest.MonkeyPatch.context() as patch:
        instructions.put(connection, asked)
        still_open = {
            (each.transfer_id, each.step)
            for place in (SOURCE, DESTINATION)
            for each in instructions.page(connection, place, 0).instructions
        }
        assert still_open == {key for key, done in is_answered.items() if not done}
        patch.setattr(instructions, "SWEEP_EVERY", 1)
        instructions.put(connection, asked[:1])
        instructions.put(connection, [each for each in asked if each.location_id == DESTINATION][:1])
        kept = {tuple(row) for row in connection.execute(text("SELECT transfer_id, step FROM instruction"))}
        assert kept == {key for key, done in is_answered.items() if not done or not sums(logs, key[0]).over}


@GIVEN
@given(logs())
def test_facts_add_up_to_the_same(office: Engine, logs: dict[str, BranchLog]) -> None:
    with shipped(office, logs) as connection:
        for transfer_id, found in zip(TRANSFERS, facts(connection, TRANSFERS), strict=True):
            for sites in ((None, None), (SOURCE, DESTINATION)):
                events = [
                    each.event
                    for place in PLACES
                    for each in logs[place].sealed
                    if each.event.transfer_id == transfer_id
                ]
                assert totals(found.facts, *sites) == totals(events, *sites)
