"""The list of mornings over HTTP, of a head office that makes and mails them by itself."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from sqlalchemy import Engine
from starlette.testclient import TestClient

from head_office.catalogue import api_keys, items
from head_office.catalogue.location_levels import LevelChange, put_levels
from head_office.database.schema import now
from head_office.main import build
from head_office.settings import HeadOfficeSettings
from shared.catalogue_messages import CatalogueItem
from shared.levels.reorder_levels import ReorderLevel
from shared.runtime.clock import DAY, SystemClock
from tests.integration.head_office.conftest import PLACES, WHO, Api
from tests.support.branch_log import BranchLog
from tests.support.morning_rig import there_since
from tests.support.smtp_receiver import SmtpReceiver, receiving
from tests.support.waiting import wait_until

PATH = "/v1/reports/purchasing/mornings"
REPORT = "/v1/reports/purchasing"


@pytest.fixture
def receiver() -> SmtpReceiver:
    return SmtpReceiver()


@pytest.fixture
def api(office_url: str, office: Engine, tmp_path: Path, receiver: SmtpReceiver) -> Iterator[Api]:
    """A head office whose locations have been there for three days, and two processes of it."""
    with office.begin() as connection:
        issued = {who: api_keys.issue(connection, role, place).text for who, (role, place) in WHO.items()}
    there_since(office, 3 * DAY)
    with receiving(receiver) as port:
        settings = HeadOfficeSettings(
            dir=tmp_path,
            database_url=SecretStr(office_url),
            threads=4,
            ingests=2,
            smtp_url=SecretStr(f"smtp://127.0.0.1:{port}"),
            mail_from="larder@shop.example",
            report_mail_to="buyer@shop.example",
        )
        apps = [build(settings, SystemClock()).app for _ in range(2)]
        with TestClient(apps[0], raise_server_exceptions=False) as client, TestClient(apps[1]):
            wait_until(lambda: client.get("/readyz").status_code == 200)
            yield Api(client, issued)


def items_of(api: Api, who: str = "admin", **params: Any) -> list[dict[str, Any]]:
    answer = api.call(who, "GET", PATH, params=params)
    assert answer.status_code == 200, answer.text
    return list(answer.json()["items"])


def test_they_are_made_at_the_start_and_listed(api: Api, receiver: SmtpReceiver) -> None:
    wait_until(lambda: len(items_of(api)) == 9, 30, what="nine mornings")
    found = items_of(api)
    assert [each["location_id"] for each in found] == list(PLACES) * 3
    dates = [each["date"] for each in found]
    assert dates == sorted(dates, reverse=True)
    assert {each["window_days"] for each in found} == {28}
    for each in found:
        assert each["as_of"] == each["known_at"] < each["made_at"]
        assert (each["sequence"], each["listed"]) == (0, 0)
    newest = max(dates)
    wait_until(
        lambda: {(each["mail"] or {}).get("state") for each in items_of(api)} == {"SENT", None}, 30, what="the mail"
    )
    assert {each["date"] for each in items_of(api) if each["mail"]} == {newest}
    (mail,) = receiver.received
    assert mail["Subject"].startswith(f"Purchasing {newest}: 0 items to order")
    assert "larder_mornings_made_total" in api.client.get("/metrics").text
    # Pages go on behind the last one.
    first = api.call("admin", "GET", PATH, params={"limit": 4}).json()
    rest = api.call("admin", "GET", PATH, params={"limit": 10, "after": first["next"]}).json()
    assert [each["date"] for each in first["items"] + rest["items"]] == dates
    assert rest["next"] is None
    oldest = min(dates)
    assert {each["date"] for each in items_of(api, **{"from": oldest, "to": newest})} == set(dates) - {newest}
    assert [each["location_id"] for each in items_of(api, location_id="WH-1")] == ["WH-1"] * 3
    assert {each["location_id"] for each in items_of(api, "viewer of BEY-01")} == {"BEY-01"}


@pytest.mark.parametrize(
    ("who", "params", "status", "code"),
    [
        ("staff", {}, 403, "forbidden"),
        ("branch", {}, 403, "forbidden"),
        ("viewer of BEY-01", {"location_id": "WH-1"}, 403, "wrong-location"),
        ("viewer", {"location_id": "NO"}, 422, "unknown-location"),
        ("viewer", {"from": "2026-02-30"}, 422, "invalid-request"),
        ("viewer", {"to": "2026-01-01T00:00:00Z"}, 422, "invalid-request"),
        ("viewer", {"from": "2026-01-02", "to": "2026-01-01"}, 422, "invalid-request"),
        ("viewer", {"after": "x"}, 400, "bad-cursor"),
        ("viewer", {"limit": 0}, 422, "invalid-request"),
    ],
)
def test_what_is_refused(api: Api, who: str, params: dict[str, Any], status: int, code: str) -> None:
    answer = api.call(who, "GET", PATH, params=params)
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text


def stocked(office: Engine) -> BranchLog:
    """Levels of milk at two locations; the first had nine of it for four days."""
    with office.begin() as connection:
        items.put(connection, [CatalogueItem(item_id="milk", name="Milk", unit="l")])
        level = ReorderLevel(reorder_point=20_000, order_up_to=50_000)
        put_levels(connection, [LevelChange(place, "milk", level) for place in PLACES[:2]])
        at = now(connection)
    log = BranchLog("BEY-01")
    log.record("PURCHASE_RECEIVED", quantity=9_000, occurred_at=at - 4 * DAY)
    log.ship_now(office)
    return log


def test_the_report_of_a_date(api: Api, office: Engine) -> None:
    """A morning is of what was known then: what is told today of four days ago changes it only where that is asked."""
    wait_until(lambda: len(items_of(api)) == 9, 30, what="nine mornings")
    day = items_of(api)[0]["date"]
    stocked(office)
    query = {"date": day, "all": "true"}

    def answer(**more: str) -> Any:
        found = api.call("purchasing", "GET", REPORT, params={**query, **more})
        assert found.status_code == 200, found.text
        return found

    before = {form: answer(format=form).content for form in ("json", "csv", "xlsx", "pdf")}
    report = answer().json()
    assert (report["date"], report["items"], report["cut"]) == (day, [], dict.fromkeys(sorted(PLACES), 0))
    assert "changes" not in report
    assert {each["known_at"] for each in report["locations"]} == {report["known_at"]} == {report["as_of"]}
    assert {form: answer(format=form).content for form in before} == before
    anew = answer(known_at="2199-01-01T00:00:00Z").json()
    assert [(each["location_id"], each["on_hand"]) for each in anew["items"]] == [("BEY-01", 9), ("BEY-02", 0)]
    assert anew["changes"] == [
        {"location_id": place, "item_id": "milk", "field": "listed", "was": False, "is": True} for place in PLACES[:2]
    ]
    assert answer(known_at=report["known_at"]).json()["changes"] == []
    assert len(answer(location_id="BEY-01", known_at="2199-01-01T00:00:00Z").json()["changes"]) == 1


@pytest.mark.parametrize(
    ("params", "status", "code"),
    [
        ({"date": "2020-01-01"}, 404, "report-not-made"),
        ({"date": "2020-02-30"}, 422, "invalid-request"),
        ({"date": "today"}, 422, "invalid-request"),
        ({"date": "2020-01-01", "as_of": "2020-01-01"}, 422, "invalid-request"),
        ({"date": "2020-01-01", "window_days": 0}, 422, "invalid-request"),
        ({"date": "2020-01-01", "location_id": "NO"}, 422, "unknown-location"),
    ],
)
def test_what_is_refused_of_a_date(api: Api, params: dict[str, Any], status: int, code: str) -> None:
    found = api.call("purchasing", "GET", REPORT, params=params)
    assert (found.status_code, found.json()["code"]) == (status, code), found.text
