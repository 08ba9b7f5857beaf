"""Words of command lines that several commands read: figures, moments, durations, lines of items, names of a list."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import date
from difflib import get_close_matches
from typing import Final

import typer

from shared.runtime.business_days import read_asked
from shared.runtime.text.decimal_comma import CommaFault, decimal_point

_DURATION: Final = re.compile(r"([0-9]{1,9})([smhd])|0", re.ASCII)
_SECONDS: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}


def figure(text: str, option: str | None = None) -> str:
    """A figure, its decimal comma replaced by a point. Raises BadParameter."""
    try:
        return decimal_point(text)
    except CommaFault as error:
        raise typer.BadParameter(str(error), param_hint=option) from error


def moment_or_date(text: str | None) -> str | None:
    """An RFC 3339 moment or a date, as typed: for the callback of an option. Raises BadParameter."""
    if text is not None:
        try:
            read_asked(text)
        except ValueError as error:
            raise typer.BadParameter(str(error)) from error
    return text


def check_period(begin: str | None, end: str | None, as_of: str | None = None) -> None:
    """Check a period as typed, of two moments or two dates. Raises BadParameter; of a date and a moment the location's
    zone tells which is the earlier one."""
    if as_of is not None and (begin is not None or end is not None):
        raise typer.BadParameter("a figure is as of a moment or of a period", param_hint="--as-of")
    if begin is None or end is None:
        return
    first, last = read_asked(begin), read_asked(end)
    if (isinstance(first, int) and isinstance(last, int) and last < first) or (
        isinstance(first, date) and isinstance(last, date) and last < first
    ):
        raise typer.BadParameter("the period ends before it begins", param_hint="--to")


def duration(text: str, option: str | None = None) -> int:
    """Seconds of a duration as typed: 90s, 30m, 24h, 7d, or 0. Raises BadParameter."""
    match = _DURATION.fullmatch(text)
    if match is None:
        raise typer.BadParameter(f"{text!r} is no duration; one is like 90s, 30m, 24h or 7d", param_hint=option)
    return int(match[1] or 0) * _SECONDS[match[2] or "s"]


def item_lines(lines: Sequence[str], option: str | None = None) -> list[tuple[str, str]]:
    """(item, quantity) of each ITEM=QUANTITY. Raises BadParameter."""
    found = []
    for line in lines:
        item_id, equals, quantity = line.rpartition("=")
        if not (item_id and equals and quantity):
            raise typer.BadParameter(f"{line!r} is not ITEM=QUANTITY, such as milk=2.5", param_hint=option)
        found.append((item_id, figure(quantity, option)))
    return found


def one_of(text: str, names: Iterable[str], option: str, *, also: Iterable[str] = ()) -> str:
    """A name of a list, in any case and with - for _. Raises BadParameter with the nearest, else with all of them.

    `also` are other words that people use for some of them; they are only suggested for.
    """
    known = list(names)
    wanted = text.upper().replace("-", "_")
    if wanted in known:
        return wanted
    parts = [name for name in known if wanted and wanted in name.split("_")]
    near = list(dict.fromkeys([*parts, *get_close_matches(wanted, known), *also]))[:3]
    said = f"Did you mean {' or '.join(near)}?" if near else f"There are: {', '.join(known)}."
    raise typer.BadParameter(f"there is no {text!r}. {said}", param_hint=option)
