"""Time and ids. Every moment is an int of microseconds since the epoch, UTC ("micros").

Only ``SystemClock`` reads the computer's clock; other code takes a ``Clock``, which the simulation replaces.
"""

from __future__ import annotations

import random
import re
import secrets
import threading
import time
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Final, NamedTuple, Protocol
from zoneinfo import ZoneInfo

SECOND: Final = 1_000_000
MINUTE: Final = 60 * SECOND
DAY: Final = 86_400 * SECOND
EARLIEST: Final = 946_684_800 * SECOND  # 2000-01-01T00:00:00Z
LATEST: Final = 7_258_118_400 * SECOND  # 2200-01-01T00:00:00Z, itself out of bounds

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_RFC3339: Final = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt](\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(?:[Zz]|([+-])(\d\d):(\d\d))", re.ASCII
)


class Clock(Protocol):
    """A source of time. ``now`` is in micros; ``monotonic`` in seconds from some start, never going back."""

    def now(self) -> int: ...

    def monotonic(self) -> float: ...


class SystemClock:
    """The computer's clock. ``monotonic`` includes the time that the computer slept, where the system measures it."""

    def __init__(self) -> None:
        # CLOCK_MONOTONIC stands still while a laptop sleeps, which would look like a jump of the wall clock.
        self._clock_id: int | None = getattr(time, "CLOCK_BOOTTIME", None)

    def now(self) -> int:
        return time.time_ns() // 1_000

    def monotonic(self) -> float:
        return time.monotonic() if self._clock_id is None else time.clock_gettime(self._clock_id)


def parse_rfc3339(text: str) -> tuple[int, int]:
    """(micros, offset from UTC in minutes) of an RFC 3339 time such as ``2025-03-01T12:30:00+02:00``.

    Raises ValueError when the offset is missing, the text is no such time, or the year is not 2000..2199. Digits
    beyond the microsecond are dropped.
    """
    match = _RFC3339.fullmatch(text)
    if match is None:
        raise ValueError("not an RFC 3339 time with an offset, such as 2025-03-01T12:30:00+02:00")
    day, clock_time, fraction, sign, hours, minutes = match.groups()
    offset = 0
    if sign is not None:
        if int(hours) > 23 or int(minutes) > 59:
            raise ValueError("the offset from UTC is not a time of day")
        offset = (int(hours) * 60 + int(minutes)) * (-1 if sign == "-" else 1)
    try:
        local = datetime.fromisoformat(f"{day}T{clock_time}+00:00")
    except ValueError as error:
        raise ValueError("there is no such date or time of day") from error
    micros = (local - _EPOCH) // _MICROSECOND - offset * MINUTE
    if fraction is not None:
        micros += int(fraction[:6].ljust(6, "0"))
    if not EARLIEST <= micros < LATEST:
        raise ValueError("the year is not between 2000 and 2199")
    return micros, offset


def format_rfc3339(micros: int, offset_minutes: int = 0) -> str:
    """RFC 3339 text of a moment at an offset, with microseconds only where there are any; ``Z`` at offset zero."""
    moment = _EPOCH + timedelta(microseconds=micros)
    if offset_minutes:
        moment = moment.astimezone(timezone(timedelta(minutes=offset_minutes)))
        return moment.isoformat()
    return moment.replace(tzinfo=None).isoformat() + "Z"


def offset_minutes(micros: int, zone: ZoneInfo) -> int:
    """The zone's offset from UTC at a moment, in whole minutes."""
    offset = (_EPOCH + timedelta(microseconds=micros)).astimezone(zone).utcoffset()
    return 0 if offset is None else int(offset.total_seconds() // 60)


def business_date(occurred_at: int, zone: ZoneInfo, day_start_minutes: int) -> date:
    """The business day of a moment: days begin ``day_start_minutes`` after midnight on the zone's wall clock.

    A day that begins within an hour that the wall clock shows twice begins in its first pass and goes on in the second.
    """
    moment = _EPOCH + timedelta(microseconds=occurred_at)
    local = moment.astimezone(zone)
    day = local.date()
    if local.fold:
        hour, minute = divmod(day_start_minutes, 60)
        for begun in (day + timedelta(days=1), day):
            if datetime(begun.year, begun.month, begun.day, hour, minute, tzinfo=zone).astimezone(UTC) <= moment:
                return begun
    return day if local.hour * 60 + local.minute >= day_start_minutes else day - timedelta(days=1)


_RANDOM_BITS: Final = 74
_VERSION_AND_VARIANT: Final = 0x7 << 76 | 0b10 << 62
_LOW_62: Final = (1 << 62) - 1


def _assemble(milliseconds: int, random_74: int) -> str:
    high = (milliseconds & 0xFFFFFFFFFFFF) << 80 | (random_74 >> 62) << 64
    # As str(UUID(int=...)), in a quarter of its time: every event has an id.
    digits = f"{high | _VERSION_AND_VARIANT | random_74 & _LOW_62:032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


class IdFactory:
    """Makes UUIDv7s as texts, in increasing order, also within one millisecond and when the moment given goes back.

    Call it with micros. Thread-safe. ``randbits`` is ``random.Random(seed).getrandbits`` in the simulation.
    """

    def __init__(self, randbits: Callable[[int], int] | None = None) -> None:
        # Ids must be unique, not secret: a generator seeded by the system is ten times as fast as the system's own.
        self._randbits = randbits or random.Random(secrets.randbits(256)).getrandbits  # noqa: S311
        self._milliseconds = -1
        self._random = 0
        self._lock = threading.Lock()

    def __call__(self, now_micros: int) -> str:
        milliseconds = now_micros // 1_000
        with self._lock:
            if milliseconds > self._milliseconds:
                self._milliseconds = milliseconds
                self._random = self._randbits(_RANDOM_BITS)
            else:
                # A random step keeps the next id unguessable and leaves 2**42 steps before the field is full.
                self._random += 1 + self._randbits(32)
                if self._random >> _RANDOM_BITS:
                    self._milliseconds += 1
                    self._random = self._randbits(_RANDOM_BITS)
            return _assemble(self._milliseconds, self._random)


class ClockStart(NamedTuple):
    """How a node's time began at a start: `at` in micros, and whether it may be the same clock's as before the start.

    `same_clock` is false where the computer's clock had jumped, so that what is wrong after the start need not have
    been wrong before it.
    """

    at: int
    same_clock: bool


class ClockMove(NamedTuple):
    """What a settlement does to a node's time, in micros: the time from there on, and how much that is ahead."""

    time_now: int
    ahead: int


class ClockMeasurement(NamedTuple):
    """One moment on three clocks: the true time and the node's time in micros, the monotonic clock in seconds."""

    true_time: int
    node_time: int
    monotonic: float

    @property
    def correction(self) -> int:
        """What is to be added to the node's time, in micros."""
        return self.true_time - self.node_time


class NodeClock:
    """A node's clock (DESIGN section 3): follows the monotonic clock, and ignores sudden jumps of the wall clock.

    The base's wall clock is followed while it agrees within ``TOLERANCE`` with the monotonic clock since the start or
    the last settlement, so a network time service may correct it; then now never goes back, and runs at half speed
    where it is ahead. After a larger jump now follows the monotonic clock, and ``confirmed`` is false until `settle` is
    called with head office's time or a manager's: that is now from there on, even if it is below earlier results.

    ``last_now`` is the last moment that an earlier process of this node recorded, or None on the first start. A wall
    clock that starts more than ``LONGEST_STOP`` ahead of it is taken, one that starts behind it by over ``TOLERANCE``
    is not: the clock goes on from ``last_now``. Both leave it unconfirmed. ``unsettled``: that process ended with an
    unconfirmed clock; a start does not confirm it.

    Deterministic: the same readings of the base give the same answers. Thread-safe.
    """

    TOLERANCE: Final = 5 * MINUTE
    LONGEST_STOP: Final = 14 * DAY
    LONGEST_ROUND_TRIP: Final = MINUTE

    def __init__(self, base: Clock, last_now: int | None = None, *, unsettled: bool = False) -> None:
        self._base = base
        self._lock = threading.Lock()
        wall = base.now()
        plausible = EARLIEST <= wall < LATEST
        start = max(EARLIEST, min(wall, LATEST - 1))
        self._trusted = plausible
        if last_now is not None:
            behind = not plausible or last_now - wall > self.TOLERANCE
            self._trusted = not behind and wall - last_now <= self.LONGEST_STOP
            start = last_now if behind else max(wall, last_now)
        # Also where it seems to go on unbroken: a computer without a battery goes on from when it was switched off.
        self.start: ClockStart | None = ClockStart(start, self._trusted)
        """How the time began, for the record; None once it is recorded, and after a settlement."""
        self._trusted = self._trusted and not unsettled
        self.unmeasured = 0
        """By how many micros, where more than ``TOLERANCE``, an unconfirmed time began ahead of `last_now`: how much of
        that has passed, nobody measured. Zero once the start is recorded, and after a settlement."""
        if last_now is not None and not self._trusted and start - last_now > self.TOLERANCE:
            self.unmeasured = start - last_now
        self.settled = False
        """Whether the clock was settled since the start."""
        self._follow(start)

    def keep_start(self) -> None:
        """`start` was recorded."""
        self.start, self.unmeasured = None, 0

    def _follow(self, time_now: int) -> None:
        """Take `time_now` as the time. Three readings of one moment: the clocks are compared by how far they move."""
        self._reference_wall = self._base.now()
        self._reference_monotonic = self._last_monotonic = self._base.monotonic()
        self._reference_time = self._last = time_now

    def now(self) -> int:
        """The time in micros, never below an earlier result but for a settlement in between."""
        with self._lock:
            return self._read()[0]

    def monotonic(self) -> float:
        return self._base.monotonic()

    @property
    def computer(self) -> int:
        """The computer's clock as it is, in micros."""
        return self._base.now()

    @property
    def confirmed(self) -> bool:
        """Whether now can be trusted to ``TOLERANCE``. Events recorded while it is false are flagged."""
        with self._lock:
            self._read()
            return self._trusted

    def read(self) -> tuple[int, bool]:
        """Now, and whether it can be trusted, at one moment."""
        with self._lock:
            return self._read()[0], self._trusted

    def measure(self, time_micros: int, round_trip: float) -> ClockMeasurement | None:
        """What head office's time shows, as read from an answer, given the seconds between request and answer.

        None where it cannot be used: the answer took over a minute, or the time is outside 2000..2199.
        """
        half = round(round_trip * SECOND / 2)
        if not (0 <= half * 2 <= self.LONGEST_ROUND_TRIP and EARLIEST <= time_micros + half < LATEST):
            return None
        return self.compare(time_micros + half)

    def compare(self, true_time: int) -> ClockMeasurement:
        """The true time (micros) beside the clock's own. Raises ValueError for a moment outside 2000..2199."""
        if not EARLIEST <= true_time < LATEST:
            raise ValueError("the year is not between 2000 and 2199")
        with self._lock:
            return ClockMeasurement(true_time, self._read()[0], self._last_monotonic)

    def measured_again(self, measured: ClockMeasurement) -> ClockMeasurement:
        """A measurement moved on to now: the true time since then, beside the clock as it was settled meanwhile."""
        with self._lock:
            node_time = self._read()[0]
            return ClockMeasurement(self._true_time(measured), node_time, self._last_monotonic)

    def needs(self, measured: ClockMeasurement) -> bool:
        """Whether the clock is to be settled by a measurement: it is unconfirmed, wrong, or was not settled before."""
        return not self.confirmed or not self.settled or abs(measured.correction) > self.TOLERANCE

    def settle(self, measured: ClockMeasurement) -> None:
        """Take a measured time as the true one, on the word of head office or a manager.

        A wall clock within ``TOLERANCE`` of it is followed as it is; of any other only the differences are followed. A
        clock that was trusted and agrees within ``TOLERANCE`` does not go back.
        """
        with self._lock:
            before, target = self._read()
            time_now = self._move(measured, target).time_now
            agreed = self._trusted and abs(measured.correction) <= self.TOLERANCE
            self._trusted, self.settled, self.start, self.unmeasured = True, True, None, 0
            self._follow(time_now)
            if agreed:
                self._last = max(self._last, before)

    def move_by(self, measured: ClockMeasurement) -> ClockMove:
        """What `settle` would do to the time, as it is followed now."""
        with self._lock:
            return self._move(measured, self._read()[1])

    def _move(self, measured: ClockMeasurement, target: int) -> ClockMove:
        true_time, wall = self._true_time(measured), self._base.now()
        time_now = wall if abs(wall - true_time) <= self.TOLERANCE else true_time
        return ClockMove(time_now, time_now - target)

    def _true_time(self, measured: ClockMeasurement) -> int:
        """The measured true time, moved on to the last reading."""
        return measured.true_time + int((self._last_monotonic - measured.monotonic) * SECOND)

    def _read(self) -> tuple[int, int]:
        """(now, the time being followed). Notices a jump of the wall clock. The caller holds the lock."""
        monotonic = self._base.monotonic()
        wall_moved = self._base.now() - self._reference_wall
        monotonic_moved = int((monotonic - self._reference_monotonic) * SECOND)
        if abs(wall_moved - monotonic_moved) > self.TOLERANCE:
            self._trusted = False
        target = self._reference_time + (wall_moved if self._trusted else monotonic_moved)
        elapsed = max(0, int((monotonic - self._last_monotonic) * SECOND))
        # At least half speed, however often it is read: the other half reduces the lead where now is ahead.
        self._last = max(target, self._last + elapsed // 2)
        self._last_monotonic = monotonic
        return self._last, target
