"""Each location's morning is made once, at its own time; after downtime, on the nights of a clock change, by many."""

from __future__ import annotations

from contextlib import ExitStack
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, delete, select, text, update
from sqlalchemy.exc import IntegrityError

from head_office.database.morning_tables import MAILED_MORNING, PURCHASING_MORNING
from head_office.database.schema import LOCATION
from head_office.reports.known_at import report_snapshot
from head_office.reports.mornings import morning_maker
from head_office.reports.purchasing.purchasing_report import purchasing_report
from tests.support.forked import start_program
from tests.support.morning_rig import ZONES, MorningRig, make_until_stopped, utc
from tests.support.waiting import wait_until

BEIRUT = ("BEY-01", "BEY-02")


def days(first: str, count: int) -> list[str]:
    return [(date.fromisoformat(first) + timedelta(days=number)).isoformat() for number in range(count)]


def kept(engine: Engine, day: str) -> dict[str, int]:
    """The moments as of which the mornings of a date were made."""
    query = select(PURCHASING_MORNING).where(PURCHASING_MORNING.c.date == day)
    with engine.connect() as connection:
        return {row.location_id: row.as_of for row in connection.execute(query)}


def test_at_its_own_time_and_once(rig: MorningRig) -> None:
    rig.clock(utc("2087-03-20T04:00") - 1)
    assert rig.make() == 0
    rig.clock("2087-03-20T04:00")
    assert rig.make() == 2
    assert rig.make() == 0
    rig.clock("2087-03-20T10:30")
    assert rig.make() == 1
    assert rig.made() == [(place, "2087-03-20") for place in sorted(ZONES)]
    assert kept(rig.engine, "2087-03-20") == {
        **dict.fromkeys(BEIRUT, utc("2087-03-20T04:00")),
        "NYC-01": utc("2087-03-20T10:00"),
    }


@pytest.mark.parametrize("away", [7, 8, 20])
def test_after_days_of_downtime(rig: MorningRig, away: int) -> None:
    rig.clock("2087-03-20T11:00")
    assert rig.make() == 3
    rig.clock(utc("2087-03-20T11:00") + away * 86_400_000_000)
    assert rig.make() == 3 * 7
    missed = days("2087-03-21", away)[-7:]
    for place in ZONES:
        assert [day for found, day in rig.made() if found == place] == ["2087-03-20", *missed]


def test_none_before_the_location_was_there(rig: MorningRig) -> None:
    with rig.engine.begin() as connection:
        connection.execute(update(LOCATION).values(added_at=utc("2087-03-22T09:00")))
    rig.clock("2087-03-23T11:00")
    rig.make()
    assert rig.made() == [
        ("BEY-01", "2087-03-23"),
        ("BEY-02", "2087-03-23"),
        *(("NYC-01", day) for day in days("2087-03-22", 2)),
    ]


@pytest.mark.parametrize(
    ("day", "time", "moment"),
    [
        ("2087-03-30", 15, "2087-03-29T22:00"),  # 00:15 is left out: the first after the gap
        ("2087-10-25", 23 * 60 + 30, "2087-10-25T20:30"),  # 23:30 comes twice: the first
    ],
)
def test_the_nights_of_a_clock_change(rig: MorningRig, day: str, time: int, moment: str) -> None:
    with rig.engine.begin() as connection:
        connection.execute(update(LOCATION).values(report_time=time))
    for hour in range(-30, 30):
        rig.clock(utc(moment) + hour * 3_600_000_000)
        rig.make()
        assert ("BEY-01" in kept(rig.engine, day)) == (hour >= 0)
    assert kept(rig.engine, day)["BEY-01"] == utc(moment)
    dates = sorted(found for place, found in rig.made() if place == "BEY-01")
    assert dates == days(dates[0], len(dates))


def test_a_morning_made_late_is_the_one_that_was_missed(rig: MorningRig) -> None:
    moment = utc("2087-03-20T04:00")
    rig.clock("2087-03-20T03:00")
    rig.record("BEY-01", "STOCKTAKE", 9_000, "2087-03-19T20:00")
    rig.record("BEY-01", "ORDER_DEDUCTION", 5_000, "2087-03-20T01:00")
    rig.clock(moment)
    with report_snapshot(rig.engine, moment) as (connection, settled):
        assert settled == moment
        on_time = purchasing_report(connection, location_ids=["BEY-01"], as_of=moment, known_at=settled, given=True)
    rig.clock("2087-03-22T09:00")
    rig.record("BEY-01", "PURCHASE_RECEIVED", 50_000, "2087-03-19T23:00")
    rig.make()
    late = rig.report("2087-03-20", location_ids=["BEY-01"])
    assert list(late.rows) == list(on_time.rows)
    assert late.cut == on_time.cut
    assert [row.on_hand for row in late.rows if row.item_id == "milk"] == [4_000]
    with rig.engine.connect() as connection:
        row = connection.execute(
            select(PURCHASING_MORNING).where(
                PURCHASING_MORNING.c.location_id == "BEY-01", PURCHASING_MORNING.c.date == "2087-03-20"
            )
        ).one()
    assert (row.as_of, row.known_at, row.made_at) == (moment, moment, utc("2087-03-22T09:00"))
    assert (row.sequence, row.listed) == (2, 2)


def test_what_cannot_be_made_holds_up_no_other(rig: MorningRig, monkeypatch: pytest.MonkeyPatch) -> None:
    real = purchasing_report
    broken = {"BEY-02"}

    def failing(connection: Any, *, location_ids: list[str], **given: Any) -> Any:
        if broken.intersection(location_ids):
            raise ZeroDivisionError("its figures cannot be made")
        return real(connection, location_ids=location_ids, **given)

    monkeypatch.setattr(morning_maker, "purchasing_report", failing)
    rig.clock("2087-03-20T11:00")
    with pytest.raises(ZeroDivisionError):
        rig.make(mailed=True)
    assert rig.made() == [("BEY-01", "2087-03-20"), ("NYC-01", "2087-03-20")]
    assert len(rig.mails()) == 1
    broken.clear()
    assert rig.make(mailed=True) == 1
    assert len(rig.mails()) == 2
    assert rig.make(mailed=True) == 0


def test_the_report_time_is_moved(rig: MorningRig) -> None:
    """What was made stays; the next one is made at the new time."""
    rig.clock("2087-03-20T04:30")
    rig.make()
    with rig.engine.begin() as connection:
        connection.execute(update(LOCATION).values(report_time=420))
    rig.clock("2087-03-20T09:00")
    assert rig.make() == 0
    assert kept(rig.engine, "2087-03-20")["BEY-01"] == utc("2087-03-20T04:00")
    rig.clock("2087-03-21T04:59")
    assert rig.make() == 1  # New York's of the day before
    rig.clock("2087-03-21T05:00")
    assert rig.make() == 2


def test_what_was_made_cannot_be_changed(rig: MorningRig) -> None:
    rig.clock("2087-03-20T04:30")
    rig.make()
    for change in (update(PURCHASING_MORNING).values(listed=0), delete(PURCHASING_MORNING)):
        with pytest.raises(IntegrityError, match="append-only"), rig.engine.begin() as connection:
            connection.execute(change)


def test_a_maker_passes_by_where_another_one_is_making(rig: MorningRig) -> None:
    rig.clock("2087-03-20T04:30")
    with rig.engine.connect() as other:
        other.execute(text("SELECT pg_advisory_xact_lock(1279349328, 3)"))
        assert rig.make(mailed=True) == 0
        assert rig.mails() == []
        other.rollback()
    assert rig.make(mailed=True) == 2


def test_mailed_are_those_of_the_last_day(rig: MorningRig) -> None:
    rig.clock("2087-03-23T03:59")
    assert rig.make(mailed=True) == 9
    with rig.engine.connect() as connection:
        mailed = {(row.location_id, row.date) for row in connection.execute(select(MAILED_MORNING))}
    assert mailed == {(place, "2087-03-22") for place in ZONES}
    assert [mail.date for mail in rig.mails()] == ["2087-03-22"]


def test_eight_processes_make_one(rig: MorningRig, rig_url: str, tmp_path: Path) -> None:
    """One of them is killed in the middle of it."""
    count = 8
    rig.clock("2087-03-20T03:00")
    with ExitStack() as stack:
        processes = [
            stack.enter_context(
                start_program(make_until_stopped, rig_url, tmp_path, output=tmp_path / f"output-{number}")
            )
            for number in range(count)
        ]
        for process in processes:
            process.wait_for("ready")
        rig.clock("2087-03-27T12:00")
        wait_until(lambda: len(rig.made()) >= 3, what="the first mornings")
        processes[0].kill()
        wait_until(lambda: len(rig.made()) == 21, 60, what="every morning")
        wait_until(rig.mails, what="the mail")
        (tmp_path / "stop").touch()
        made = [int(process.wait_for(r"made (\d+) in all")[1]) for process in processes[1:]]
    assert sum(made) <= 21
    assert rig.made() == sorted((place, day) for place in ZONES for day in days("2087-03-21", 7))
    assert [mail.date for mail in rig.mails()] == ["2087-03-27"]
    # Whoever made a location's morning, it is the one of its moment.
    with rig.engine.connect() as connection:
        for row in connection.execute(select(PURCHASING_MORNING)):
            assert row.as_of == row.known_at == utc(f"{row.date}T{'10' if row.location_id == 'NYC-01' else '04'}:00")
