"""What is asked of the page of the purchasing report, and the report that answers it.

Works inside the transaction of the Connection it is given; moments are microseconds UTC.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from sqlalchemy import Connection

from head_office.problems import UNKNOWN_LOCATION
from head_office.reports.known_at import SettledMoment
from head_office.reports.mornings.morning_list import checked_date, morning_dates
from head_office.reports.mornings.morning_report import morning_report
from head_office.reports.purchasing.purchasing_records import PurchasingReport
from head_office.reports.purchasing.purchasing_report import purchasing_report
from shared.catalogue_messages import CatalogueLocation
from shared.event_record import moment_text
from shared.runtime.clock import business_date, parse_rfc3339
from shared.runtime.http.auth import Principal
from shared.runtime.pages.forms import Form
from shared.runtime.problems import invalid_request

NOW: Final = "now"
"""The date by which the figures of now are asked for, whatever was made this morning."""

MOST_DATES: Final = 400
"""Mornings that can be chosen from."""


class PurchasingQuestion(NamedTuple):
    """What is asked for. `date`: a morning, NOW, or empty for that of this morning, else now.

    `known_at`: the moment of a report of now that is asked for again; of a morning by what is known by then.
    """

    date: str
    location_id: str
    all_rows: bool
    since: bool
    known_at: int | None

    @property
    def of_now(self) -> bool:
        """Whether it is no morning's."""
        return self.date == NOW

    def fields(self) -> dict[str, str]:
        """The question as an address carries it on."""
        given = {
            "date": self.date,
            "location_id": self.location_id,
            "rows": "all" if self.all_rows else "",
            "figures": "since" if self.since else "",
            "known_at": "" if self.known_at is None else moment_text(self.known_at),
        }
        return {name: text for name, text in given.items() if text}


def read_question(query: Form) -> PurchasingQuestion:
    """Read the question of an address. Raises Problem 422 `invalid-request`."""
    date = query["date"]
    if date and date != NOW:
        checked_date("date", date)
    known_at = None
    if query["known_at"]:
        try:
            # A plus sign that was not percent-encoded arrives as a blank.
            known_at = parse_rfc3339(query["known_at"].replace(" ", "+"))[0]
        except ValueError as error:
            invalid_request("known_at", str(error))
    return PurchasingQuestion(
        date=date,
        location_id=query["location_id"],
        all_rows=query["rows"] == "all",
        since=query["figures"] == "since",
        known_at=known_at,
    )


def settled_question(
    question: PurchasingQuestion, dates: Sequence[str], locations: Sequence[CatalogueLocation], now: int
) -> PurchasingQuestion:
    """The question with its date: where none is asked for, this morning's if one was made, else now."""
    if question.date:
        return question
    # The date of a morning is that of the calendar at its location.
    today = {str(business_date(now, ZoneInfo(each.timezone), 0)) for each in locations}
    newest = next(iter(dates), None)
    return question._replace(date=newest if newest in today else NOW)


def dates_made(connection: Connection, location_ids: Sequence[str]) -> list[str]:
    """The dates of which a report was made at these locations, the newest first, at most MOST_DATES."""
    return morning_dates(connection, location_ids, limit=MOST_DATES)


def asked_locations(
    question: PurchasingQuestion, visible: Sequence[CatalogueLocation], principal: Principal
) -> list[CatalogueLocation]:
    """The locations that the report is of. Raises Problem 403 `wrong-location`, 422 `unknown-location`."""
    if not question.location_id:
        return list(visible)
    principal.check_location(question.location_id)
    found = [each for each in visible if each.location_id == question.location_id]
    if not found:
        raise UNKNOWN_LOCATION(f"there is no location {question.location_id}", location_id=question.location_id)
    return found


def answer(
    connection: Connection,
    question: PurchasingQuestion,
    settled: SettledMoment,
    location_ids: list[str] | None,
) -> PurchasingReport:
    """Read the report of a question that has its date. Raises Problem 404 `report-not-made`."""
    if question.of_now:
        return purchasing_report(
            connection,
            location_ids=location_ids,
            as_of=None,
            known_at=settled,
            given=question.known_at is not None,
            all_rows=question.all_rows,
        )
    return morning_report(
        connection,
        date=question.date,
        location_ids=location_ids,
        known_at=settled if question.since else None,
        all_rows=question.all_rows,
    )
