"""Head office while nothing reaches its database: every route answers 503, and all goes on by itself afterwards."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from httpx2 import Response
from pydantic import SecretStr
from sqlalchemy import Engine, event
from starlette.testclient import TestClient

from head_office.catalogue import api_keys
from head_office.database.connections import opened
from head_office.main import HeadOfficeService, build
from head_office.settings import HeadOfficeSettings
from head_office.transfers import instructions
from shared.messages import Instruction, InstructionLine, InstructionStep
from shared.runtime.clock import SystemClock
from tests.integration.head_office.api.test_access import TABLE
from tests.integration.head_office.conftest import WHO, Api
from tests.support.branch_log import BranchLog
from tests.support.statements import prepared_statements
from tests.support.tcp_forwarder import TcpForwarder, forwarder_to
from tests.support.waiting import wait_until


class StandingClock(SystemClock):
    """A clock whose seconds do not pass: a key that was looked up once stays known."""

    def monotonic(self) -> float:
        return 0.0


ASKED = Instruction(
    transfer_id="t", step=InstructionStep.OUT, token=1, location_id="BEY-01", source="BEY-01", destination="BEY-02",
    lines=(InstructionLine(1, "milk", 1_000, "l"),),
)  # fmt: skip
HEAD = {"epoch": 1, "sequence": 0, "hash": "00" * 32}
HELLO = {"location_id": "BEY-01", "head": HEAD, "acknowledged": None, "protocol": 1, "schema": 1, "software": "1"}
# The bodies of the table that a route would refuse before it asks the database.
BODIES: dict[tuple[str, str], Any] = {
    ("POST", "/v1/sync/hello"): HELLO,
    ("PUT", "/v1/instructions/t/out"): ASKED,
    ("POST", "/v1/instructions"): {"instructions": [ASKED]},
    ("POST", "/v1/transfer-facts"): {"transfer_ids": ["t"]},
    ("PUT", "/v1/items/milk"): {"name": "Milk", "unit": "l"},
    ("POST", "/v1/items-waiting/BEY-01/milk/accept"): {},
    ("PUT", "/v1/items-waiting/BEY-01/milk/map"): {"item_id": "milk"},
    ("PUT", "/v1/reorder-levels/BEY-01/milk"): {"reorder_point": 1, "order_up_to": 2},
    ("PUT", "/v1/reorder-levels/BEY-02/milk"): {"reorder_point": 1, "order_up_to": 2},
    ("PUT", "/v1/suppliers/farm"): {"name": "Farm"},
    ("POST", "/v1/availability"): {"lines": [{"item_id": "milk", "quantity": 1}]},
    ("PUT", "/v1/locations/BEY-01"): {"name": "A", "timezone": "UTC"},
}


@pytest.fixture
def line(office_url: str) -> Iterator[TcpForwarder]:
    with forwarder_to(office_url) as forwarder:
        yield forwarder


def keys_of(office: Engine) -> dict[str, str]:
    with office.begin() as connection:
        return {who: api_keys.issue(connection, role, place).text for who, (role, place) in WHO.items()}


def far_office(office_url: str, line: TcpForwarder, folder: Path, clock: SystemClock) -> HeadOfficeService:
    """Head office whose database is at the other end of the line."""
    far = line.url_of(office_url)
    settings = HeadOfficeSettings(dir=folder, database_url=SecretStr(far), threads=4, ingests=2)
    return build(settings, clock)


def called(service: HeadOfficeService) -> TestClient:
    return TestClient(service.app, raise_server_exceptions=False)


def all_routes(api: Api) -> dict[tuple[str, str, str], Response]:
    """The answer of every route, by (who, method, path), to one whose key it takes."""
    log = BranchLog("BEY-01")
    log.record("ORDER_DEDUCTION")
    answers = {}
    for method, path, body, allowed in TABLE:
        who = "branch" if "branch" in allowed else sorted(allowed)[0]
        sent = log.batch() if path == "/v1/sync/events" else BODIES.get((method, path), body)
        answers[who, method, path] = api.call(who, method, path, sent)
    return answers


@pytest.mark.parametrize("clock", [StandingClock(), SystemClock()])
def test_every_route_answers_503_and_goes_on(
    clock: SystemClock, office: Engine, office_url: str, line: TcpForwarder, tmp_path: Path
) -> None:
    with called(far_office(office_url, line, tmp_path, clock)) as client:
        api = Api(client, keys_of(office))
        wait_until(lambda: client.get("/readyz").status_code == 200, what="head office")
        for answer in all_routes(api).values():
            assert answer.status_code not in {401, 429, 500, 503}, answer.text
        line.cut()
        # Where the keys are not known any more, their look-up is refused in the same way.
        wait_until(
            lambda: clock.monotonic() == 0.0 or api.call("viewer", "GET", "/v1/items").status_code == 503,
            what="the keys to be forgotten",
        )
        for (who, method, path), answer in all_routes(api).items():
            if path == "/v1/messages/schemas" and answer.status_code == 200:
                continue  # it reads nothing, and the key was known
            assert answer.status_code == 503, (who, method, path, answer.text)
            assert int(answer.headers["retry-after"]) > 0, (method, path)
            assert answer.json()["code"] in {"database-unavailable", "overloaded"}, (method, path)
            if method != "GET":
                assert answer.json()["recorded"] in {"no", "unknown"}, (method, path)
        ready = client.get("/readyz")
        assert ready.status_code == 503
        for page in ("/", "/stock", "/transfers", "/sign-in"):
            assert client.get(page).status_code in {200, 303, 503}, page
        line.mend()
        for (who, method, path), answer in all_routes(api).items():
            assert answer.status_code not in {401, 429, 500, 503}, (who, method, path, answer.text)
        wait_until(lambda: client.get("/readyz").status_code == 200, 30, what="head office to be ready again")


def test_who_waits_is_answered_after_the_line_was_cut(
    office: Engine, office_url: str, line: TcpForwarder, tmp_path: Path
) -> None:
    service = far_office(office_url, line, tmp_path, SystemClock())
    given_back: list[object] = []
    event.listen(service.engine, "checkin", lambda *_: given_back.append(None))
    with called(service) as client:
        api = Api(client, keys_of(office))
        wait_until(lambda: client.get("/readyz").status_code == 200, what="head office")
        answers: list[Any] = []

        def wait() -> None:
            answers.append(api.call("branch", "GET", "/v1/sync/instructions?wait=30").json())

        before = len(given_back)
        waiting = threading.Thread(target=wait)
        waiting.start()
        # Once its key was looked up and it has read that there is nothing, it waits.
        wait_until(lambda: len(given_back) >= before + 2, what="the branch to wait")
        line.cut()
        wait_until(lambda: client.get("/readyz").json()["checks"]["wake-ups"] != "ok", what="the loss to be noticed")
        # Recorded while nobody at head office hears it.
        with office.begin() as connection:
            instructions.put(connection, [ASKED])
        line.mend()
        waiting.join(30)
        assert [each["transfer_id"] for each in answers[0]["instructions"]] == ["t"]
        wait_until(lambda: client.get("/readyz").status_code == 200, what="head office to be ready again")


def test_through_a_pooler_it_listens_at_an_address_of_its_own(
    office: Engine, office_url: str, line: TcpForwarder, tmp_path: Path
) -> None:
    """The line is that of the listener alone: what is noticed when it is cut."""
    listened = line.url_of(office_url)
    settings = HeadOfficeSettings(
        dir=tmp_path,
        database_url=SecretStr(office_url),
        listen_url=SecretStr(listened),
        prepared_statements=False,
        threads=4,
        ingests=2,
    )
    service = build(settings, SystemClock())
    with called(service) as client:
        api = Api(client, keys_of(office))
        wait_until(lambda: client.get("/readyz").status_code == 200, what="head office")
        line.cut()
        wait_until(lambda: client.get("/readyz").json()["checks"]["wake-ups"] != "ok", what="the loss to be noticed")
        assert client.get("/readyz").json()["checks"]["database"] == "ok"
        assert api.call("viewer", "GET", "/v1/items").status_code == 200
        line.mend()
        wait_until(lambda: client.get("/readyz").status_code == 200, what="head office to be ready again")
        assert prepared_statements(service.engine) == 0
    with opened(settings) as engine:
        assert prepared_statements(engine) == 0


def test_the_messages_are_as_the_routes_read_them() -> None:
    assert msgspec.json.decode(msgspec.json.encode(ASKED), type=Instruction) == ASKED
