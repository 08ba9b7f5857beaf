"""Subscriptions at head office: to all locations or some, by keys of one, and delivered by several processes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from pydantic import SecretStr
from schemathesis.generation import GenerationMode
from sqlalchemy import Engine
from starlette.testclient import TestClient

from head_office.catalogue import api_keys, locations
from head_office.main import HeadOfficeService, build
from head_office.settings import HeadOfficeSettings
from shared.catalogue_messages import CatalogueLocation
from shared.outbox.message_cursor import BEFORE_ALL, MessageCursor
from shared.runtime.clock import SystemClock
from shared.runtime.http.scopes import Role
from tests.support.hook_receiver import HookReceiver
from tests.support.listed_messages import ADDED, ListedMessages
from tests.support.openapi import try_out
from tests.support.waiting import wait_until

PATH = "/v1/subscriptions"
PLACES = ("BEY-01", "BEY-02", "WH-1")


class Office:
    """One process of head office, called in this one."""

    def __init__(self, service: HeadOfficeService, client: TestClient, keys: dict[str, str]) -> None:
        self.service = service
        self.client = client
        self.keys = keys

    def call(self, method: str, path: str, body: Any = None, *, who: str = "manager", **headers: str) -> Any:
        sent = {"Authorization": f"Bearer {self.keys[who]}"} | {k.replace("_", "-"): v for k, v in headers.items()}
        return self.client.request(method, path, json=body, headers=sent)

    def create(self, url: str, *, who: str = "manager", **fields: Any) -> dict[str, Any]:
        answer = self.call("POST", PATH, {"url": url, **fields}, who=who)
        assert answer.status_code == 201, answer.text
        return answer.json()

    def wake(self) -> None:
        assert self.service.subscriptions is not None
        self.service.subscriptions.ingested()


@contextmanager
def processes(count: int, url: str, engine: Engine, folder: Path, messages: ListedMessages) -> Iterator[list[Office]]:
    who = {
        "admin": (Role.ADMIN, None),
        "manager": (Role.MANAGER, None),
        "staff": (Role.STAFF, None),
        "viewer": (Role.VIEWER, None),
        "coordinator": (Role.COORDINATOR, None),
        "branch": (Role.BRANCH, "BEY-01"),
        "manager of BEY-01": (Role.MANAGER, "BEY-01"),
    }
    with engine.begin() as connection:
        keys = {name: api_keys.issue(connection, role, place).text for name, (role, place) in who.items()}
    settings = HeadOfficeSettings(
        dir=folder, database_url=SecretStr(url), threads=4, ingests=2, webhook_allow="127.0.0.0/8"
    )
    with ExitStack() as stack:
        made = []
        for _ in range(count):
            service = build(settings, SystemClock(), lambda _engine: messages)
            client = stack.enter_context(TestClient(service.app, raise_server_exceptions=False))
            made.append(Office(service, client, keys))
        yield made


@pytest.fixture
def messages() -> ListedMessages:
    made = ListedMessages()
    for place in PLACES[:2]:
        made.add(place, ADDED)
    return made


@pytest.fixture
def single(office_url: str, office: Engine, tmp_path: Path, messages: ListedMessages) -> Iterator[Office]:
    with processes(1, office_url, office, tmp_path, messages) as (made,):
        yield made


def cursors(found: dict[str, Any]) -> dict[str, tuple[str, int]]:
    return {each["location_id"]: (each["cursor"], each["behind"]) for each in found["cursors"]}


URL = "http://127.0.0.1:9/hooks"
AT_ONE = str(MessageCursor(1, 1, 0))


def test_a_cursor_for_each_location(single: Office) -> None:
    assert cursors(single.create(URL)) == {"BEY-01": (AT_ONE, 0), "BEY-02": (AT_ONE, 0), "WH-1": (str(BEFORE_ALL), 0)}
    some = single.create(URL, location_ids=["WH-1", "BEY-01"], after="start")
    assert some["location_ids"] == ["BEY-01", "WH-1"]
    one = single.create(URL, location_ids=["BEY-02"], after=AT_ONE)
    assert cursors(one) == {"BEY-02": (AT_ONE, 0)}
    at = f"{PATH}/{some['subscription_id']}/replay"
    assert single.call("POST", at, {"after": AT_ONE}).json()["code"] == "invalid-request"
    assert single.call("POST", at, {"after": AT_ONE, "location_id": "BEY-01"}).status_code == 202
    assert single.call("POST", at, {"after": AT_ONE, "location_id": "BEY-02"}).json()["code"] == "invalid-request"


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"location_ids": ["TRI-9"]}, 422, "unknown-location"),
        ({"location_ids": []}, 422, "invalid-request"),
        ({"after": AT_ONE}, 422, "invalid-request"),
        ({"after": str(MessageCursor(1, 9, 0)), "location_ids": ["BEY-01"]}, 409, "cursor-ahead"),
        ({"url": "https://192.168.1.1/"}, 422, "url-refused"),
    ],
)
def test_what_is_not_made(single: Office, body: dict[str, Any], status: int, code: str) -> None:
    answer = single.call("POST", PATH, {"url": URL, **body})
    assert (answer.status_code, answer.json()["code"]) == (status, code)


def test_a_key_of_one_location_sees_and_makes_only_its_own(single: Office) -> None:
    everywhere = single.create(URL)
    here = single.create(URL, location_ids=["BEY-01"])
    own = single.create(URL, who="manager of BEY-01")
    assert own["location_ids"] == ["BEY-01"]
    listed = single.call("GET", PATH, who="manager of BEY-01").json()["items"]
    assert [each["subscription_id"] for each in listed] == [here["subscription_id"], own["subscription_id"]]
    hidden = f"{PATH}/{everywhere['subscription_id']}"
    for method, path, body in (
        ("GET", hidden, None),
        ("PATCH", hidden, {"state": "PAUSED"}),
        ("DELETE", hidden, None),
        ("POST", f"{hidden}/rotate", {}),
        ("POST", f"{hidden}/replay", {"after": "start"}),
        ("GET", f"{hidden}/deliveries", None),
    ):
        answer = single.call(method, path, body, who="manager of BEY-01")
        assert (answer.status_code, answer.json()["code"]) == (404, "subscription-not-found")
    other = single.call("POST", PATH, {"url": URL, "location_ids": ["BEY-02"]}, who="manager of BEY-01")
    assert (other.status_code, other.json()["code"]) == (403, "wrong-location")
    for who in ("staff", "viewer", "coordinator", "branch"):
        assert single.call("GET", PATH, who=who).status_code == 403


def test_the_same_key_at_the_same_time_makes_one(office_url: str, office: Engine, tmp_path: Path) -> None:
    from concurrent.futures import ThreadPoolExecutor

    with processes(2, office_url, office, tmp_path, ListedMessages()) as both, ThreadPoolExecutor(8) as pool:
        answers = list(
            pool.map(
                lambda number: both[number % 2].call("POST", PATH, {"url": URL}, Idempotency_Key="once"), range(16)
            )
        )
        assert {each.status_code for each in answers} == {201}
        assert len({each.text for each in answers}) == 1
        assert len(both[0].call("GET", PATH).json()["items"]) == 1


def test_two_processes_deliver_each_message_once_and_in_order(
    office_url: str, office: Engine, tmp_path: Path, messages: ListedMessages
) -> None:
    with HookReceiver() as receiver, processes(2, office_url, office, tmp_path, messages) as both:
        made = both[0].create(receiver.url)
        sent: dict[str, list[bytes]] = {place: [] for place in PLACES}
        for number in range(120):
            place = PLACES[number % 3]
            sent[place] += [each.body for each in messages.add(place, ADDED)]
            both[number % 2].wake()
        found = receiver.wait_for(120)
        at = f"{PATH}/{made['subscription_id']}"
        wait_until(lambda: all(behind == 0 for _, behind in cursors(both[1].call("GET", at).json()).values()))
        assert len(receiver.received) == 120
        for place, bodies in sent.items():
            assert [each.body for each in found if place.encode() in each.body] == bodies
        listed = both[0].call("GET", f"{at}/deliveries?location_id=WH-1&state=DELIVERED").json()["items"]
        assert [each["cursor"] for each in listed] == sorted((each["cursor"] for each in listed), reverse=True)
        assert len(listed) == 40


def test_a_location_that_is_added_later_is_sent_from_its_beginning(
    single: Office, office: Engine, messages: ListedMessages
) -> None:
    with HookReceiver() as receiver:
        made = single.create(receiver.url)
        only = single.create(receiver.url + "/one", location_ids=["BEY-01"])
        with office.begin() as connection:
            locations.add(
                connection,
                CatalogueLocation(location_id="SID-1", name="Saida", timezone="Asia/Beirut", day_start=240),
            )
        (message,) = messages.add("SID-1", ADDED)
        single.wake()
        assert receiver.wait_for(1)[0].body == message.body
        assert "SID-1" in cursors(single.call("GET", f"{PATH}/{made['subscription_id']}").json())
        assert list(cursors(single.call("GET", f"{PATH}/{only['subscription_id']}").json())) == ["BEY-01"]
        assert len(receiver.received) == 1


def test_a_revoked_key_is_sent_nothing_more_until_somebody_takes_over(
    single: Office, office: Engine, messages: ListedMessages
) -> None:
    with office.begin() as connection:
        shop = api_keys.issue(connection, Role.INTEGRATION, None)
    single.keys["shop"] = shop.text
    with HookReceiver() as receiver:
        made = single.create(receiver.url, who="shop")
        at = f"{PATH}/{made['subscription_id']}"
        assert single.call("GET", at, who="shop").status_code == 200
        assert single.call("POST", f"/v1/keys/{shop.key_id}/revoke", who="admin").status_code == 200
        wait_until(lambda: single.call("GET", at).json()["state"] == "DISABLED", timeout=20)
        assert shop.key_id in single.call("GET", at).json()["cursors"][0]["error"]
        (missed,) = messages.add("BEY-01", ADDED)
        single.wake()
        assert single.call("PATCH", at, {"state": "ACTIVE"}).json()["state"] == "ACTIVE"
        assert receiver.wait_for(1)[0].body == missed.body
        wait_until(lambda: cursors(single.call("GET", at).json())["BEY-01"][1] == 0)
        assert single.call("GET", at).json()["state"] == "ACTIVE"


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
def test_no_request_is_answered_by_a_fault(single: Office, mode: GenerationMode) -> None:
    single.create(URL)
    schema = schemathesis.openapi.from_dict(single.service.app.openapi())
    tried = 0

    def send(method: str, path: str, headers: Any, body: bytes) -> Any:
        given = {**dict(headers or {}), "Authorization": f"Bearer {single.keys['manager']}"}
        return single.client.request(method, path, content=body, headers=given)

    for found in schema.get_all_operations():
        operation = found.ok()  # type: ignore[union-attr]
        if operation.path.startswith(PATH):
            tried += 1
            try_out(operation.as_strategy(generation_mode=mode), send, examples=8)
    assert tried == 8
