"""The form above every page: a zone, the moments or the period that figures are of, words to find."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Final
from zoneinfo import ZoneInfo

from sqlalchemy import Connection
from starlette.requests import Request

from head_office.catalogue.locations import DAY_START, list_locations
from head_office.pages.page_views import common_zone
from head_office.reports.known_at import AsOf
from head_office.reports.report_moments import AskedPeriod, StockQuestion, as_of_at, ends_at
from shared.catalogue_messages import CatalogueLocation
from shared.runtime.business_days import Asked, as_of_moment, boundary, read_asked
from shared.runtime.http.auth import Principal
from shared.runtime.pages.forms import Form
from shared.runtime.pages.words import BadLocalTime, local_field, local_moment
from shared.runtime.problems import Problem

_DATE: Final = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_MOMENT: Final = re.compile(r"\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}.*", re.ASCII)
MOST_LOCATIONS: Final = 1_000
MOST_TYPED: Final = 64
"""How much of a text that is no moment is shown in its field again, in characters."""


@dataclass(frozen=True)
class PageQuery:
    """The form above every page, read: a zone, moments (microseconds UTC) or business dates, words to find.

    `as_of` is a moment; where it was asked for as a business date, `day`, it is the end of it on the page's zone.
    `over`: the period asked for. A field with a fault counts as empty; `typed` is what stands in each field.
    """

    zone: ZoneInfo
    zones: Sequence[str]
    as_of: int | None
    day: date | None
    over: AskedPeriod
    known_at: int | None
    q: str
    typed: dict[str, str]
    faults: dict[str, str]

    @property
    def fields(self) -> dict[str, str]:
        """The moments and the zone as an address carries them on to another page."""
        given = {
            "as_of": self._field(self.as_of if self.day is None else self.day),
            "from": self._field(self.over.begin),
            "to": self._field(self.over.end),
            "known_at": self._field(self.known_at),
        }
        kept = {name: text for name, text in given.items() if text}
        return {**kept, "zone": self.zone.key} if kept else {}

    @property
    def question(self) -> StockQuestion:
        """What is asked of the report of stock."""
        return StockQuestion(self.as_of if self.day is None else self.day, self.over)

    def as_of_at(self, connection: Connection, location_ids: list[str] | None, known_at: int | None) -> AsOf | None:
        """The moment as of which figures are read; of a date the end of that business day at each location."""
        return as_of_at(connection, self.question.as_of, location_ids, known_at)

    def checked(self, connection: Connection, location_ids: list[str] | None, known_at: int | None) -> PageQuery:
        """The same, with a fault at `to` where the period ends before it begins at one of the locations."""
        try:
            ends_at(connection, self.over, location_ids, known_at)
        except Problem:
            return self._with_fault("to", "the period ends before it begins", AskedPeriod(self.over.begin, None))
        return self

    def _with_fault(self, name: str, why: str, over: AskedPeriod) -> PageQuery:
        return replace(self, over=over, faults={**self.faults, name: why})

    def _field(self, asked: Asked | None) -> str:
        """The value of a field that shows a moment or a date."""
        if asked is None:
            return ""
        return local_field(asked, self.zone) if isinstance(asked, int) else asked.isoformat()

    def field(self, name: str) -> str:
        """What stands in a field: a moment or a date as its input has it, a text with a fault as it was typed."""
        if name in self.faults:
            return self.typed[name]
        return self.fields.get(name, "")

    def kind(self, name: str) -> str:
        """The type of a field's input; a browser would not show a text with a fault in an input of a date."""
        if name in self.faults:
            return "text"
        is_date = _DATE.fullmatch(self.field(name))
        return "date" if is_date or (name in {"from", "to"} and not self.field(name)) else "datetime-local"


def read_query(
    request: Request, locations: Sequence[CatalogueLocation], *, of_a_moment: str | None = None
) -> PageQuery:
    """The form's fields; one that cannot be read counts as empty, and the page shows the fault beside it.

    `of_a_moment`: what a page shows that has no figures of a period; there From and To are faults.
    """
    query = Form(dict(request.query_params))
    zones = sorted({"UTC", *(location.timezone for location in locations)})
    zone = ZoneInfo(query["zone"]) if query["zone"] in zones else common_zone(locations)
    names = ("as_of", "from", "to", "known_at")
    faults: dict[str, str] = {}
    found: dict[str, Asked | None] = dict.fromkeys(names)
    for name in names:
        if of_a_moment is not None and name in {"from", "to"}:
            if query[name]:
                faults[name] = f"{of_a_moment} is of a moment, not of a period: empty this field"
            continue
        try:
            found[name] = _moment(query[name], zone) if name == "known_at" else _asked(query[name], zone)
        except ValueError as error:
            faults[name] = str(error)
    as_of, over, known_at = found["as_of"], AskedPeriod(found["from"], found["to"]), found["known_at"]
    if as_of is not None and of_a_moment is None and (query["from"] or query["to"]):
        faults["as_of"] = "a figure is as of a moment or of a period: empty this field, or From and To"
        as_of = None
    day_start = next((each.day_start for each in locations if each.timezone == zone.key), DAY_START)
    if None not in over:
        begin, end = (boundary(each, zone, day_start) for each in over if each is not None)
        if end < begin:
            faults["to"] = "the period ends before it begins"
            over = AskedPeriod(over.begin, None)
    return PageQuery(
        zone=zone,
        zones=zones,
        as_of=None if as_of is None else as_of_moment(as_of, zone, day_start),
        day=None if as_of is None or isinstance(as_of, int) else as_of,
        over=over,
        known_at=known_at if isinstance(known_at, int) else None,
        q=query["q"][:200],
        typed={name: query[name][:MOST_TYPED] for name in names},
        faults=faults,
    )


def _asked(text: str, zone: ZoneInfo) -> Asked | None:
    """A moment on a zone's wall clock or a business date. Raises ValueError."""
    return read_asked(text) if _DATE.fullmatch(text) else _moment(text, zone)


def _moment(text: str, zone: ZoneInfo) -> int | None:
    """A moment on a zone's wall clock. Raises ValueError, also for a date: midnight is not what it says."""
    if not text:
        return None
    if _DATE.fullmatch(text):
        raise BadLocalTime(f"a date is no moment: write the time too, such as {text}T23:59")
    if not _MOMENT.fullmatch(text):
        raise BadLocalTime("not a date and time such as 2026-01-31T23:59")
    return local_moment(text, zone)


def visible_locations(connection: Connection, principal: Principal) -> list[CatalogueLocation]:
    """The locations that a key may see, at most MOST_LOCATIONS."""
    found = list_locations(connection, limit=MOST_LOCATIONS)
    own = principal.location_id
    return found if own is None else [each for each in found if each.location_id == own]
