"""`/v1/messages` of head office: by location, woken by what is shipped, and what it says of the quarantine."""

from __future__ import annotations

import json
from pathlib import Path

import httpx
import msgspec
import pytest
from sqlalchemy import Engine

from head_office.log import decoder
from head_office.log.quarantine import retry
from tests.integration.head_office.api.test_process import call, say, serve
from tests.integration.head_office.conftest import Api
from tests.support.branch_log import BranchLog
from tests.support.consolidation import OldVersion
from tests.support.event_source import event_source, key_takes_its_share_alone

READY = r"larder head-office ready on (http://127\.0\.0\.1:\d+)"


def test_a_location_must_be_named_unless_the_key_is_of_one(api: Api, office: Engine) -> None:
    log = BranchLog("BEY-01")
    log.record("PURCHASE_RECEIVED")
    log.ship_now(office)
    refusal = api.call("manager", "GET", "/v1/messages")
    assert (refusal.status_code, refusal.json()["errors"][0]["field"]) == (422, "location_id")
    unknown = api.call("manager", "GET", "/v1/messages?location_id=BEY-99")
    assert (unknown.status_code, unknown.json()["code"]) == (422, "unknown-location")
    assert unknown.json()["nearest"]
    own = api.call("manager of BEY-01", "GET", "/v1/messages").json()
    assert own == api.call("manager", "GET", "/v1/messages?location_id=BEY-01").json()
    assert [each["type"] for each in own["items"]] == ["larder.StockAdded"]
    assert api.call("manager", "GET", "/v1/messages?location_id=BEY-02").json()["items"] == []
    ahead = api.call("manager", "GET", "/v1/messages?location_id=BEY-01&after=00000001-0000000000000002-000")
    assert (ahead.status_code, ahead.json()["code"]) == (409, "cursor-ahead")


def test_the_quarantine_is_waited_for_and_told(api: Api, office: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    log = BranchLog("BEY-01")
    log.record("PURCHASE_RECEIVED", quantity=9_000)
    log.record("ORDER_DEDUCTION", note="new")
    log.record("ORDER_DEDUCTION")
    with monkeypatch.context() as older:
        older.setattr(decoder, "understand", OldVersion.understand)
        log.ship_now(office)
    page = api.call("manager of BEY-01", "GET", "/v1/messages").json()
    assert [each["data"]["lines"][0]["on_hand"] for each in page["items"]] == [9]
    assert page["waits_for"] == {"sequence": 2, "reason": "this version does not know it yet"}
    with office.begin() as connection:
        retry(connection, "BEY-01")
    rest = api.call("manager of BEY-01", "GET", f"/v1/messages?after={page['next']}").json()
    assert [each["data"]["lines"][0]["on_hand"] for each in rest["items"]] == [8, 7]
    assert "waits_for" not in rest


def test_the_document_names_the_service(api: Api) -> None:
    document = api.client.get("/asyncapi.json").json()
    assert document["info"]["title"].startswith("Larder head office")


def test_what_is_shipped_comes_at_once(tmp_path: Path) -> None:
    folder = tmp_path / "office"
    admin = say("head-office", "init", "--dir", folder)["key"]
    with serve(folder, tmp_path / "serve.txt") as process:
        url = process.wait_for(READY)[1]
        branch = say("head-office", "locations", "add", "BEY-01", "--name", "A", "--timezone", "UTC", "--dir", folder)
        log = BranchLog("BEY-01")

        def ship(count: int) -> None:
            for _ in range(count):
                log.record("ORDER_DEDUCTION")
            shipped = call(url, branch["key"], "POST", "/v1/sync/events", content=log.batch())
            assert shipped.status_code == 200, shipped.text
            log.shipped = len(log.sealed)

        ship(3)
        headers = {"Authorization": f"Bearer {admin}"}
        with (
            httpx.Client(base_url=url, headers=headers, trust_env=False) as client,
            event_source(client, "/v1/messages/stream", location_id="BEY-01") as source,
        ):
            assert next(source.blocks())["retry"] == "3000"
            for _ in range(3):  # far faster than the beat of 15 seconds
                ship(2)
                assert len(source.messages(2)) == 2
            listed = client.get("/v1/messages?location_id=BEY-01").json()["items"]
            assert json.loads(msgspec.json.encode(listed[-1]))["cursor"] == source.last_id
            process.signal(15)
            assert list(source.blocks()) == []
            assert process.wait(20) == 0


def test_one_key_does_not_take_the_places_of_all(tmp_path: Path) -> None:
    folder = tmp_path / "office"
    admin = say("head-office", "init", "--dir", folder)["key"]
    with serve(folder, tmp_path / "serve.txt") as process:
        url = process.wait_for(READY)[1]
        say("head-office", "locations", "add", "BEY-01", "--name", "A", "--timezone", "UTC", "--dir", folder)
        other = say("head-office", "keys", "add", "--role", "integration", "--dir", folder)["key"]
        with httpx.Client(base_url=url, headers={"Authorization": f"Bearer {admin}"}, trust_env=False) as client:
            key_takes_its_share_alone(client, other, location_id="BEY-01")
