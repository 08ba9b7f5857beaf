"""Sources of orders at head office: who may change them, what PostgreSQL keeps, and several processes at a time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import Engine, func, insert, select
from sqlalchemy.exc import IntegrityError

from head_office.catalogue import api_keys
from head_office.database.office_schema import SOURCES
from shared.orders.source_desk import MOST_SECRETS, MOST_SOURCES
from shared.runtime.http.scopes import Role
from shared.runtime.webhooks.webhook_signatures import secret_of
from tests.integration.head_office.conftest import Api
from tests.support.branch import TestClock
from tests.support.forked import larder
from tests.support.source_services import SourceService, Teller, office_service

PATH = "/v1/inbound/sources"
READY = r"larder head-office ready on (http://127\.0\.0\.1:\d+)"


@pytest.mark.parametrize(
    ("who", "status"),
    [
        ("admin", 200),
        ("manager", 200),
        ("manager of BEY-01", 403),
        ("staff", 403),
        ("purchasing", 403),
        ("viewer", 403),
        ("integration", 403),
        ("branch", 403),
        ("coordinator", 403),
    ],
)
def test_only_keys_of_the_group_that_may_correct_have_a_say(api: Api, who: str, status: int) -> None:
    assert api.call("admin", "POST", PATH, {"source": "shop"}).status_code == 201
    answers = [
        api.call(who, "GET", PATH),
        api.call(who, "POST", f"{PATH}/shop/rotate", {}),
        api.call(who, "DELETE", f"{PATH}/shop"),
        api.call(who, "POST", PATH, {"source": "shop"}),
    ]
    assert [each.status_code for each in answers] == [status] * 3 + [201 if status == 200 else 403]
    if status == 403:
        assert {each.json()["code"] for each in answers} == {"forbidden"}


def test_what_the_database_keeps(api: Api, office: Engine) -> None:
    secret = secret_of(bytes(range(32)))
    api.call("admin", "POST", PATH, {"source": "shop", "secret": secret, "hold_days": 3})
    newer = api.call("admin", "POST", f"{PATH}/shop/rotate", {}).json()["secret"]
    with office.connect() as connection:
        kept = connection.execute(select(SOURCES.secret).order_by("number")).all()
        assert [(each.source, each.number, each.secret) for each in kept] == [("shop", 1, secret), ("shop", 2, newer)]
        assert kept[0].expires_at == kept[1].created_at + 86_400 * 1_000_000
        assert kept[1].expires_at is None
    another = {"source": "shop", "number": 3, "secret": secret, "created_at": 1}
    for values in (another, another | {"source": "nobody", "number": 1}):
        with office.connect() as connection, pytest.raises(IntegrityError):
            connection.execute(insert(SOURCES.secret).values(values))
    api.call("admin", "DELETE", f"{PATH}/shop")
    with office.connect() as connection:
        assert connection.execute(select(func.count()).select_from(SOURCES.secret)).scalar_one() == 0


@pytest.fixture
def both(office_url: str, tmp_path: Path) -> Iterator[tuple[SourceService, SourceService]]:
    """Two processes of head office on one database and one clock."""
    clock = TestClock()
    with ExitStack() as stack:
        first, second = (stack.enter_context(office_service(tmp_path, office_url, clock)) for _ in range(2))
        yield first, second


def test_what_one_process_changes_counts_at_the_other_at_once(both: tuple[SourceService, SourceService]) -> None:
    first, second = both
    here = first.add("shop")
    there = Teller(second, here.path, here.secret)
    assert (here.tell().status_code, there.tell().status_code) == (200, 200)
    newer = second.call("POST", f"{PATH}/shop/rotate", {"overlap_seconds": 0}).json()["secret"]
    assert [each.tell().status_code for each in (here, there)] == [401, 401]
    assert [each.tell(secret=newer).status_code for each in (here, there)] == [200, 200]
    first.call("DELETE", f"{PATH}/shop")
    assert [each.tell(secret=newer).status_code for each in (here, there)] == [401, 401]


def test_two_processes_that_change_sources_at_the_same_time(office_url: str, office: Engine, tmp_path: Path) -> None:
    """Each request waits for the ones before it, and is answered by what they wrote: never by a fault."""
    with office.begin() as connection:
        key = api_keys.issue(connection, Role.ADMIN).text
    with ExitStack() as stack:
        running = [
            stack.enter_context(
                larder(
                    *("head-office", "serve", "--dir", tmp_path / name, "--database-url", office_url, "--port", "0"),
                    output=tmp_path / f"{name}.txt",
                )
            )
            for name in ("one", "two")
        ]
        urls = [process.wait_for(READY)[1] for process in running]
        pool = stack.enter_context(ThreadPoolExecutor(8))
        client = stack.enter_context(
            httpx.Client(headers={"Authorization": f"Bearer {key}"}, timeout=30, trust_env=False)
        )

        def send(request: tuple[str, str, dict[str, Any]]) -> tuple[int, str]:
            url, path, body = request
            answer = client.post(url + PATH + path, json=body)
            return answer.status_code, answer.json().get("code", "")

        def at_once(path: str, bodies: list[dict[str, Any]]) -> Counter[tuple[int, str]]:
            requests = [(urls[number % 2], path, body) for number, body in enumerate(bodies)]
            return Counter(pool.map(send, requests))

        assert at_once("", [{"source": "shop"}] * 16) == {(201, ""): 1, (409, "source-exists"): 15}
        assert at_once("/shop/rotate", [{}] * 16) == {
            (200, ""): MOST_SECRETS - 1, (409, "too-many-secrets"): 17 - MOST_SECRETS
        }  # fmt: skip
        names = [{"source": f"s{number}"} for number in range(MOST_SOURCES + 10)]
        assert at_once("", names) == {(201, ""): MOST_SOURCES - 1, (409, "too-many-sources"): 11}
    with office.connect() as connection:
        assert connection.execute(select(func.count()).select_from(SOURCES.source)).scalar_one() == MOST_SOURCES
    for name in ("one", "two"):
        assert "Traceback" not in (tmp_path / f"{name}.txt").read_text()
