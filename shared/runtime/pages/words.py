"""Times and figures as people read them: ages in words, exact times, grouped digits."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime, timedelta
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from markupsafe import Markup

from shared.runtime.clock import DAY, MINUTE, SECOND, format_rfc3339, offset_minutes

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
# Not from the system's locale: the pages are in English wherever the server stands.
_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_HOUR: Final = 60 * MINUTE
_STEPS: Final = ((DAY, "day"), (_HOUR, "hour"), (MINUTE, "minute"), (SECOND, "second"))
JUST_NOW: Final = 5 * SECOND


def span(micros: int) -> str:
    """A length of time in its largest unit: `3 minutes`, `2 days`; under a second, `0 seconds`."""
    size, unit = next(((size, unit) for size, unit in _STEPS if micros >= size), _STEPS[-1])
    count = micros // size
    return f"{count} {unit}" if count == 1 else f"{count} {unit}s"


def age(micros: int, now: int) -> str:
    """How long before `now` a moment was: `just now`, `3 minutes ago`, `in 2 hours`."""
    passed = now - micros
    if abs(passed) < JUST_NOW:
        return "just now"
    return f"{span(passed)} ago" if passed > 0 else f"in {span(-passed)}"


def clock_text(micros: int, zone: ZoneInfo, *, seconds: bool = False, now: int | None = None) -> str:
    """A moment on the wall clock of a zone: `12 Mar 2026, 14:05`; without the year where it is that of `now`."""
    local = _local(micros, zone)
    year = "" if now is not None and _local(now, zone).year == local.year else f" {local.year}"
    exact = f":{local.second:02d}" if seconds else ""
    return f"{local.day} {_MONTHS[local.month - 1]}{year}, {local.hour:02d}:{local.minute:02d}{exact}"


def _local(micros: int, zone: ZoneInfo) -> datetime:
    return (_EPOCH + timedelta(microseconds=micros)).astimezone(zone)


def exact_time(micros: int, zone: ZoneInfo, *, seconds: bool = False, now: int | None = None) -> Markup:
    """A moment as an element: the wall clock of the zone to read, RFC 3339 for machines."""
    return Markup('<time datetime="{}">{}</time>').format(
        format_rfc3339(micros), clock_text(micros, zone, seconds=seconds, now=now)
    )


def aged_time(micros: int, now: int, zone: ZoneInfo) -> Markup:
    """As `exact_time`, but shows the age in words, with the wall clock as its tooltip."""
    return Markup('<time datetime="{}" title="{}">{}</time>').format(
        format_rfc3339(micros), clock_text(micros, zone, seconds=True), age(micros, now)
    )


def day_text(day: str) -> Markup:
    """A date such as `2026-03-12` as an element that reads `12 Mar 2026`."""
    found = date.fromisoformat(day)
    return Markup('<time datetime="{}">{} {} {}</time>').format(day, found.day, _MONTHS[found.month - 1], found.year)


def offset_text(micros: int, zone: ZoneInfo) -> str:
    """A zone's offset at a moment: `UTC+02:00`."""
    minutes = offset_minutes(micros, zone)
    sign = "+" if minutes >= 0 else "\N{MINUS SIGN}"
    return f"UTC{sign}{abs(minutes) // 60:02d}:{abs(minutes) % 60:02d}"


def figure(text: str, *, signed: bool = False) -> Markup:
    """A decimal such as `-1234567.5` as an element: digits in groups (not copied with the text), and a minus sign.

    `signed`: with a plus sign above zero.
    """
    digits, point, decimals = text.removeprefix("-").partition(".")
    sign = "\N{MINUS SIGN}" if text.startswith("-") else "+" if signed and text.strip("0.") else ""
    first = len(digits) % 3 or 3
    groups = [digits[:first], *(digits[start : start + 3] for start in range(first, len(digits), 3))]
    if len(digits) <= 4:
        groups = [digits]
    whole = Markup("").join([groups[0], *(Markup('<span class="g">{}</span>').format(each) for each in groups[1:])])
    return Markup('<data value="{}">{}{}{}{}</data>').format(text, sign, whole, point, decimals)


def figure_filters(text_of: Callable[[int], str]) -> dict[str, Callable[[int], Markup]]:
    """The template filters `quantity` and `change` (with its sign); `text_of` gives a quantity's decimal text."""
    return {
        "quantity": lambda quantity: figure(text_of(quantity)),
        "change": lambda quantity: figure(text_of(quantity), signed=True),
    }


def reason_words(code: str) -> str:
    """A reason code as words: `over-received` is `over received`."""
    return code.replace("-", " ").replace("_", " ")


def holds_words(text: str, parts: Iterable[str | None]) -> bool:
    """Whether every word of a search text stands in one of the parts, in small or large letters."""
    held = " ".join(part for part in parts if part).casefold()
    return all(word in held for word in text.casefold().split())


def in_words(code: str) -> str:
    """A constant's name as words: `PURCHASE_RECEIVED` is `Purchase received`."""
    return code.replace("_", " ").capitalize()


class Flag(NamedTuple):
    """A flag of a figure, in words; `bad` where it is urgent."""

    words: str
    bad: bool = False


STOCK_FLAGS: Final = {
    "negative": Flag("below zero", bad=True),
    "short": Flag("short: more promised than there is", bad=True),
    "recount": Flag("count again: goods were booked behind the count"),
}
"""The flags of a stock figure, by the code with which the services answer them."""


class BadLocalTime(ValueError):
    """A text that is not a moment on a zone's wall clock; the error's text is the reason."""


def local_moment(text: str, zone: ZoneInfo) -> int:
    """Micros of what a `datetime-local` field sends, on the wall clock of a zone. Raises BadLocalTime.

    Where the clock shows the same time twice, the first is taken.
    """
    try:
        local = datetime.fromisoformat(text)
    except ValueError as error:
        raise BadLocalTime("not a date and time such as 2026-01-31T23:59") from error
    if local.tzinfo is not None:
        raise BadLocalTime("leave the offset out: the time is on the wall clock of the zone beside it")
    if not 2000 <= local.year < 2200:
        raise BadLocalTime("the year is not between 2000 and 2199")
    moment = local.replace(tzinfo=zone)
    if moment.astimezone(UTC).astimezone(zone).replace(tzinfo=None) != local:
        raise BadLocalTime("the clocks were put forward over that time, so it did not happen")
    return (moment - _EPOCH) // timedelta(microseconds=1)


def local_field(micros: int, zone: ZoneInfo) -> str:
    """The value of a `datetime-local` field that shows a moment, to the second."""
    local = _local(micros, zone).replace(tzinfo=None, microsecond=0)
    return local.isoformat(timespec="seconds" if local.second else "minutes")
