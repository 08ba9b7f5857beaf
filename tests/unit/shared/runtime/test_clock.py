"""Time: RFC 3339, business dates across changes of the clocks, ids that only grow, and the node's clock."""

import random
from datetime import UTC, date, datetime, timedelta
from uuid import RFC_4122, UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.runtime.clock import (
    DAY,
    EARLIEST,
    LATEST,
    MINUTE,
    SECOND,
    ClockStart,
    IdFactory,
    NodeClock,
    SystemClock,
    business_date,
    format_rfc3339,
    offset_minutes,
    parse_rfc3339,
)

NOON = 1_740_830_400 * SECOND  # 2025-03-01T12:00:00Z
HOUR = 60 * MINUTE


class FakeClock:
    """A wall clock and a monotonic one, turned by hand."""

    def __init__(self, wall: int = NOON, monotonic: float = 1_000.0) -> None:
        self.wall = wall
        self.seconds = monotonic

    def now(self) -> int:
        return self.wall

    def monotonic(self) -> float:
        return self.seconds

    def pass_(self, seconds: int) -> None:
        self.wall += seconds * SECOND
        self.seconds += seconds


# RFC 3339


@pytest.mark.parametrize(
    ("text", "micros", "offset"),
    [
        ("2025-03-01T12:00:00Z", NOON, 0),
        ("2025-03-01t12:00:00z", NOON, 0),
        ("2025-03-01T14:00:00+02:00", NOON, 120),
        ("2025-03-01T08:30:00-03:30", NOON, -210),
        ("2025-03-01T12:00:00.5Z", NOON + 500_000, 0),
        ("2025-03-01T12:00:00.000001999Z", NOON + 1, 0),
        ("2000-01-01T00:00:00Z", EARLIEST, 0),
        ("2200-01-01T01:59:59+02:00", LATEST - SECOND, 120),
        ("2024-02-29T00:00:00-00:00", 1_709_164_800 * SECOND, 0),
    ],
)
def test_parse(text: str, micros: int, offset: int) -> None:
    assert parse_rfc3339(text) == (micros, offset)


@pytest.mark.parametrize(
    "text",
    [
        "2025-03-01T12:00:00",
        "2025-03-01",
        "",
        "2025-03-01 12:00:00Z",
        "2025-02-29T12:00:00Z",
        "2025-03-01T24:00:00Z",
        "2025-03-01T12:00:60Z",
        "2025-03-01T12:00:00+24:00",
        "2025-03-01T12:00:00+02:60",
        "1999-12-31T23:59:59Z",
        "2200-01-01T00:00:00Z",
        "2000-01-01T00:00:00+00:01",
        "2025-03-01T12:00:00.Z",
        "2025-03-01T12:00:00.0000000001Z",
        "٢025-03-01T12:00:00Z",
        "2025-03-01T12:00:00Z\n",
        " 2025-03-01T12:00:00Z",
        "2025-03-01T12:00:00+0200",
        "0000-00-00T00:00:00Z",
        "9999-12-31T23:59:59-23:59",
        "0001-01-01T00:00:00+23:59",
    ],
)
def test_parse_refuses(text: str) -> None:
    with pytest.raises(ValueError):
        parse_rfc3339(text)


@given(st.integers(EARLIEST, LATEST - 1), st.integers(-23 * 60, 23 * 60))
def test_format_and_parse_are_inverse(micros: int, offset: int) -> None:
    assert parse_rfc3339(format_rfc3339(micros, offset)) == (micros, offset)


def test_format() -> None:
    assert format_rfc3339(NOON) == "2025-03-01T12:00:00Z"
    assert format_rfc3339(NOON + 1, 120) == "2025-03-01T14:00:00.000001+02:00"


# Business dates


def at(text: str) -> int:
    return parse_rfc3339(text)[0]


@pytest.mark.parametrize(
    ("moment", "zone", "expected"),
    [
        ("2025-03-01T03:59:59+02:00", "Asia/Beirut", date(2025, 2, 28)),
        ("2025-03-01T04:00:00+02:00", "Asia/Beirut", date(2025, 3, 1)),
        # Beirut's clocks go from 00:00 to 01:00 on 30 March 2025, and from 00:00 back to 23:00 on the 26th of October.
        ("2025-03-30T03:59:59+03:00", "Asia/Beirut", date(2025, 3, 29)),
        ("2025-03-30T04:00:00+03:00", "Asia/Beirut", date(2025, 3, 30)),
        ("2025-10-26T03:59:59+02:00", "Asia/Beirut", date(2025, 10, 25)),
        ("2025-10-26T04:00:00+02:00", "Asia/Beirut", date(2025, 10, 26)),
        # New York: 02:00 becomes 03:00, and in autumn 02:00 becomes 01:00.
        ("2025-03-09T08:00:00Z", "America/New_York", date(2025, 3, 9)),
        ("2025-03-09T07:59:59Z", "America/New_York", date(2025, 3, 8)),
        ("2025-11-02T09:00:00Z", "America/New_York", date(2025, 11, 2)),
        ("2025-11-02T08:59:59Z", "America/New_York", date(2025, 11, 1)),
    ],
)
def test_business_date_follows_the_wall_clock(moment: str, zone: str, expected: date) -> None:
    assert business_date(at(moment), ZoneInfo(zone), 240) == expected


zones = st.sampled_from(
    ["Asia/Beirut", "America/New_York", "Europe/London", "Australia/Lord_Howe", "Asia/Kathmandu", "UTC"]
)


@given(st.integers(at("2020-01-01T00:00:00Z"), at("2030-01-01T00:00:00Z")), zones, st.integers(0, 23 * 60 + 59))
def test_business_date_is_the_day_whose_start_came_last(moment: int, zone_name: str, start: int) -> None:
    zone = ZoneInfo(zone_name)
    day = business_date(moment, zone, start)
    assert _begins(day, zone, start) <= moment < _begins(day + timedelta(days=1), zone, start)


def _begins(day: date, zone: ZoneInfo, start: int) -> int:
    """The first moment at which the wall clock shows the start of a day, or in a gap would have."""
    wall = datetime.combine(day, datetime.min.time()) + timedelta(minutes=start)
    while True:
        first = wall.replace(tzinfo=zone).astimezone(UTC)
        if first.astimezone(zone).replace(tzinfo=None) == wall:
            return (first - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
        wall += timedelta(minutes=1)


@pytest.mark.parametrize("start", [0, 90, 150, 1_410])
@pytest.mark.parametrize(
    ("zone", "night"),
    [
        ("Europe/London", "2026-10-25T00:00:00Z"),
        ("Europe/Berlin", "2026-10-25T00:00:00Z"),
        ("Asia/Beirut", "2025-10-25T20:00:00Z"),
        ("America/St_Johns", "2006-10-29T01:30:00Z"),  # from 00:01 back to 23:01
    ],
)
def test_a_business_day_that_has_begun_goes_on_when_the_clock_is_set_back(zone: str, night: str, start: int) -> None:
    days = [business_date(at(night) + minute * MINUTE, ZoneInfo(zone), start) for minute in range(-120, 300)]
    assert days == sorted(days)


def test_offset_minutes() -> None:
    assert offset_minutes(at("2025-07-01T00:00:00Z"), ZoneInfo("Asia/Beirut")) == 180
    assert offset_minutes(at("2025-01-01T00:00:00Z"), ZoneInfo("America/New_York")) == -300
    assert offset_minutes(at("2025-01-01T00:00:00Z"), ZoneInfo("Asia/Kathmandu")) == 345


# Ids


@given(st.integers(EARLIEST, LATEST - 1), st.integers(0))
def test_uuid7_is_one(micros: int, seed: int) -> None:
    made = IdFactory(random.Random(seed).getrandbits)(micros)
    read = UUID(made)
    assert str(read) == made
    assert (read.version, read.variant) == (7, RFC_4122)
    assert read.int >> 80 == micros // 1_000
    assert made == IdFactory(random.Random(seed).getrandbits)(micros)


@given(st.lists(st.integers(NOON - 5_000, NOON + 5_000), max_size=60), st.integers(0))
def test_ids_only_grow_whatever_the_clock_does(moments: list[int], seed: int) -> None:
    new_id = IdFactory(random.Random(seed).getrandbits)
    made = [new_id(moment) for moment in moments]
    assert made == sorted(set(made))
    assert [UUID(each).bytes for each in made] == sorted(UUID(each).bytes for each in made)
    assert all(UUID(each).version == 7 for each in made)


def test_ids_grow_past_a_full_random_field() -> None:
    new_id = IdFactory(lambda bits: (1 << bits) - 1)
    made = [new_id(NOON) for _ in range(4)]
    assert made == sorted(set(made))
    assert UUID(made[1]).int >> 80 == NOON // 1_000 + 1


def test_two_factories_do_not_agree() -> None:
    assert IdFactory()(NOON) != IdFactory()(NOON)


# The node's clock


def test_the_system_clock_is_now() -> None:
    clock = SystemClock()
    assert abs(clock.now() - int(datetime.now(UTC).timestamp() * SECOND)) < SECOND
    assert clock.monotonic() <= clock.monotonic()


def test_it_follows_the_wall_clock_and_its_small_corrections() -> None:
    base = FakeClock()
    clock = NodeClock(base)
    base.pass_(60)
    assert clock.now() == NOON + MINUTE
    base.wall += 4 * MINUTE
    assert (clock.now(), clock.confirmed) == (NOON + 5 * MINUTE, True)


def test_it_runs_at_half_speed_until_a_small_step_back_is_made_good() -> None:
    base = FakeClock()
    clock = NodeClock(base)
    base.pass_(600)
    before = clock.now()
    base.wall -= 2 * MINUTE
    assert clock.now() == before
    base.pass_(60)
    assert clock.now() == before + 30 * SECOND
    base.pass_(180)
    assert clock.now() == base.wall == before + 2 * MINUTE
    assert clock.confirmed


def settle(clock: NodeClock, true_time: int) -> None:
    """As the node does with head office's time or a manager's."""
    clock.settle(clock.compare(true_time))


@pytest.mark.parametrize("jump", [6 * MINUTE, 300 * DAY, -6 * MINUTE, -20 * 365 * DAY])
def test_a_jump_is_not_followed_until_settled(jump: int) -> None:
    base = FakeClock()
    clock = NodeClock(base)
    base.pass_(10)
    base.wall += jump
    assert clock.read() == (NOON + 10 * SECOND, False)
    base.pass_(50)
    assert clock.now() == NOON + MINUTE
    base.wall -= jump
    assert not clock.confirmed, "that the computer's clock jumps back settles nothing"
    base.wall += jump
    # Head office says that nothing happened but a broken wall clock.
    settle(clock, NOON + MINUTE)
    assert clock.confirmed
    base.pass_(60)
    assert clock.read() == (NOON + 2 * MINUTE, True)


def test_the_tolerance_is_exact() -> None:
    for jump, trusted in ((5 * MINUTE, True), (5 * MINUTE + 1, False), (-5 * MINUTE, True), (-5 * MINUTE - 1, False)):
        base = FakeClock()
        clock = NodeClock(base)
        base.wall += jump
        assert clock.confirmed is trusted


def test_many_small_jumps_are_one_large_one() -> None:
    base = FakeClock()
    clock = NodeClock(base)
    for _ in range(3):
        base.pass_(1)
        base.wall += 2 * MINUTE
        clock.now()
    assert not clock.confirmed
    assert clock.now() <= NOON + 3 * SECOND + 5 * MINUTE


@pytest.mark.parametrize("jump", [3 * HOUR, -3 * HOUR, 365 * DAY, -365 * DAY])
def test_the_settled_time_is_now_even_below_moments_recorded_before(jump: int) -> None:
    base = FakeClock()
    clock = NodeClock(base)
    base.wall += jump
    assert not clock.confirmed
    settle(clock, base.wall - 30 * SECOND)
    assert clock.read() == (base.wall, True), "the computer's clock agrees, and is followed"
    base.wall -= jump
    settle(clock, NOON - DAY)
    assert clock.read() == (NOON - DAY, True), "only what it moves by is followed"
    base.pass_(60)
    assert clock.read() == (NOON - DAY + MINUTE, True)
    with pytest.raises(ValueError):
        clock.compare(EARLIEST - 1)


def test_a_settlement_that_agrees_does_not_go_back() -> None:
    base = FakeClock(NOON)
    clock = NodeClock(base)
    base.wall += 4 * MINUTE
    before = clock.now()
    base.wall -= 4 * MINUTE
    settle(clock, NOON)
    assert clock.read() == (before, True)


def test_what_was_measured_holds_when_it_is_used_later() -> None:
    base = FakeClock(NOON)
    clock = NodeClock(base)
    measured = clock.measure(NOON - DAY, 2.0)
    assert measured is not None
    assert measured.correction == -DAY + SECOND
    base.pass_(600)
    clock.settle(measured)
    assert clock.now() == NOON - DAY + SECOND + 10 * MINUTE


def test_an_answer_that_took_too_long_or_makes_no_sense_is_passed_over() -> None:
    clock = NodeClock(FakeClock())
    for time_micros, round_trip in ((NOON, 61.0), (NOON, -1.0), (0, 0.1), (LATEST, 0.1)):
        assert clock.measure(time_micros, round_trip) is None


def test_it_is_settled_once_and_then_only_where_it_is_wrong() -> None:
    base = FakeClock()
    clock = NodeClock(base)

    def needed(true_time: int) -> bool:
        return clock.needs(clock.compare(true_time))

    assert needed(NOON)
    settle(clock, NOON)
    assert not needed(NOON + 5 * MINUTE)
    assert needed(NOON + 5 * MINUTE + 1)
    base.wall += HOUR
    assert needed(NOON)


@pytest.mark.parametrize(
    ("wall", "now", "confirmed"),
    [
        (NOON, NOON, True),
        (NOON + 8 * HOUR, NOON + 8 * HOUR, True),
        (NOON + 14 * DAY, NOON + 14 * DAY, True),
        (NOON + 14 * DAY + 1, NOON + 14 * DAY + 1, False),
        (NOON + 40 * DAY, NOON + 40 * DAY, False),
        (NOON - 4 * MINUTE, NOON, True),
        (NOON - 6 * MINUTE, NOON, False),
        (NOON - 365 * DAY, NOON, False),
        (EARLIEST - DAY, NOON, False),
        (0, NOON, False),
        (LATEST + DAY, NOON, False),
    ],
)
def test_after_a_restart(wall: int, now: int, confirmed: bool) -> None:
    base = FakeClock(wall)
    clock = NodeClock(base, last_now=NOON)
    assert clock.read() == (now, confirmed)
    base.pass_(60)
    assert now < clock.now() <= now + MINUTE
    settle(clock, NOON + DAY)
    assert clock.confirmed
    assert abs(clock.now() - NOON - DAY) <= 5 * MINUTE


@pytest.mark.parametrize(
    ("wall", "start"),
    [
        (NOON, ClockStart(NOON, same_clock=True)),
        (NOON + 5 * MINUTE, ClockStart(NOON + 5 * MINUTE, same_clock=True)),
        (NOON + 6 * MINUTE, ClockStart(NOON + 6 * MINUTE, same_clock=True)),
        (NOON + 20 * DAY, ClockStart(NOON + 20 * DAY, same_clock=False)),
        (NOON - 4 * MINUTE, ClockStart(NOON, same_clock=True)),
        (NOON - 20 * DAY, ClockStart(NOON, same_clock=False)),
    ],
)
def test_how_it_started(wall: int, start: ClockStart) -> None:
    clock = NodeClock(FakeClock(wall), last_now=NOON)
    assert clock.start == start
    settle(clock, NOON)
    assert clock.start is None


def test_a_first_start_without_a_battery_is_unconfirmed() -> None:
    clock = NodeClock(FakeClock(0))
    assert clock.read() == (EARLIEST, False)
    settle(clock, NOON)
    assert clock.read() == (NOON, True)


steps = st.lists(
    st.one_of(
        st.tuples(st.just("pass"), st.integers(0, 10_000)),
        st.tuples(st.just("jump"), st.integers(-40 * DAY, 40 * DAY)),
        st.tuples(st.just("nudge"), st.integers(-6 * MINUTE, 6 * MINUTE)),
        st.tuples(st.just("settle"), st.integers(NOON - 40 * DAY, NOON + 40 * DAY)),
        st.tuples(st.just("restart"), st.integers(-40 * DAY, 40 * DAY)),
    ),
    max_size=30,
)


@given(steps)
def test_between_settlements_now_never_goes_back_and_never_runs_ahead(script: list[tuple[str, int]]) -> None:
    base = FakeClock()
    clock = NodeClock(base)
    last = clock.now()
    for what, amount in script:
        elapsed = 0
        allowed = 0
        if what == "pass":
            base.pass_(amount)
            elapsed = amount * SECOND
        elif what in {"jump", "nudge"}:
            base.wall += amount
            # What is followed is at most the tolerance on either side of the last settlement.
            allowed = 2 * NodeClock.TOLERANCE
        elif what == "settle":
            settle(clock, amount)
            assert clock.confirmed
            assert abs(clock.now() - amount) <= 2 * NodeClock.TOLERANCE
            last = clock.now()
        else:
            base.wall += amount
            clock = NodeClock(base, last_now=last)
            allowed = max(base.wall - last, 0)
            assert clock.confirmed is (-NodeClock.TOLERANCE <= base.wall - last <= NodeClock.LONGEST_STOP)
        now = clock.now()
        assert last <= now <= last + elapsed + allowed + 2 * NodeClock.TOLERANCE
        last = now
    again = clock.now()
    assert again == last
