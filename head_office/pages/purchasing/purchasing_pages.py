"""The page of the purchasing report, and the report as a file: that of a morning, or of now."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlencode

from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response

from head_office.api.dependencies import Office, scoped
from head_office.api.reports.purchasing_routes import THE_PRESENT, AnswerFormat, answered
from head_office.database.schema import now
from head_office.pages.page_query import visible_locations
from head_office.pages.page_views import common_zone
from head_office.pages.purchasing.purchasing_question import (
    PurchasingQuestion,
    answer,
    asked_locations,
    dates_made,
    read_question,
    settled_question,
)
from head_office.pages.purchasing.purchasing_views import report_view
from head_office.problems import REPORT_NOT_MADE
from head_office.reports.known_at import SettledMoment
from head_office.reports.purchasing.files.rendered_report import FileFormat
from head_office.reports.purchasing.purchasing_records import PurchasingReport
from shared.catalogue_messages import CatalogueLocation
from shared.runtime.http.scopes import Scope
from shared.runtime.pages.forms import Form
from shared.runtime.pages.site import Site
from shared.runtime.problems import Problem, invalid_request

PURCHASING: Final = "/purchasing"
_MOST_PAGES: Final = 100_000


class PurchasingPages:
    """The routes `/purchasing` and `/purchasing/file` of head office's site."""

    def __init__(self, site: Site, office: Office) -> None:
        self._site = site
        self._office = office
        site.get(PURCHASING, self.report, Scope.REPORTS)
        site.get(f"{PURCHASING}/file", self.file, Scope.REPORTS)

    def report(self, request: Request) -> Response:
        query = Form(dict(request.query_params))
        asked, page = read_question(query), _page(query["page"])
        principal = self._site.session(request).principal
        refused: Problem | None = None
        with self._office.reporting(_known(asked)) as (connection, settled):
            visible = visible_locations(connection, principal)
            wanted = asked_locations(asked, visible, principal)
            ids = [each.location_id for each in wanted]
            moment = now(connection)
            dates = dates_made(connection, ids)
            question = settled_question(asked, dates, wanted, moment)
            try:
                found = self._answer(request, connection, question, settled)
            except Problem as problem:
                if problem.code != REPORT_NOT_MADE.code:
                    raise
                refused = problem
                found = None
        chosen = question if found is None else _same_again(question, found)
        return self._site.page(
            request,
            "purchasing.html",
            status=200 if refused is None else refused.status,
            now=moment,
            here=PURCHASING,
            question=question,
            latest=not asked.date,
            refused=refused,
            report=found,
            view=None if found is None else report_view(found, page),
            dates=[each for each in dates if each != question.date],
            visible=visible,
            missing=[] if found is None or question.of_now else _missing(wanted, found),
            zone=common_zone(wanted),
            fields=question.fields(),
            again=chosen.fields(),
            formats=[(each.value, each.value.upper()) for each in FileFormat],
            may_order=principal.may(Scope.PURCHASING),
            order_address=order_address,
        )

    def file(self, request: Request) -> Response:
        query = Form(dict(request.query_params))
        asked = read_question(query)
        if query["format"] not in list(FileFormat):
            invalid_request("format", f"it is one of {', '.join(FileFormat)}")
        principal = self._site.session(request).principal
        with self._office.reporting(_known(asked)) as (connection, settled):
            wanted = asked_locations(asked, visible_locations(connection, principal), principal)
            ids = [each.location_id for each in wanted]
            question = settled_question(asked, dates_made(connection, ids), wanted, now(connection))
            found = self._answer(request, connection, question, settled)
        return answered(found, AnswerFormat(query["format"]))

    def _answer(
        self, request: Request, connection: Connection, question: PurchasingQuestion, settled: SettledMoment | None
    ) -> PurchasingReport:
        principal = self._site.session(request).principal
        place = scoped(principal, question.location_id or None)
        if settled is None:
            raise AssertionError("a report known at a moment has a settled one")
        return answer(connection, question, settled, None if place is None else [place])


def _known(question: PurchasingQuestion) -> int:
    return THE_PRESENT if question.known_at is None else question.known_at


def _same_again(question: PurchasingQuestion, report: PurchasingReport) -> PurchasingQuestion:
    """The question that has the very figures of the page as its answer."""
    if not question.of_now and not question.since:
        return question
    return question._replace(known_at=report.known_at)


def _missing(wanted: list[CatalogueLocation], report: PurchasingReport) -> list[CatalogueLocation]:
    """The locations that the report says nothing of: of a morning, those at which it was not made."""
    there = {each.location_id for each in report.locations}
    return [each for each in wanted if each.location_id not in there]


def _page(text: str) -> int:
    if not text:
        return 1
    if not (text.isascii() and text.isdigit()) or not 1 <= int(text[:9]) <= _MOST_PAGES:
        invalid_request("page", f"it is a whole number from 1 to {_MOST_PAGES}")
    return int(text)


def order_address(location_id: str, supplier_id: str, again: dict[str, str]) -> str:
    """The address of the form that orders what a report says of one supplier for one location."""
    return "/new-order?" + urlencode({**again, "location_id": location_id, "supplier_id": supplier_id})
