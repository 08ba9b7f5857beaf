"""The routes of branches and coordinator over HTTP: who may, batches good and bad, waiting."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec
import pytest
import zstandard
from sqlalchemy import Engine

from head_office.catalogue import items
from shared import wire
from shared.catalogue_messages import CATALOGUE_START, CatalogueItem, read_catalogue_page
from shared.messages import (
    ChangesPage,
    EventsAnswer,
    FactsAnswer,
    HelloAnswer,
    InstructionAnswers,
    InstructionPage,
    Verdict,
)
from tests.integration.head_office.conftest import Api
from tests.support.branch_log import BranchLog

HELLO: dict[str, Any] = {
    "location_id": "BEY-01",
    "head": {"epoch": 1, "sequence": 0, "hash": "00" * 32},
    "acknowledged": None,
    "protocol": 1,
    "schema": 1,
    "software": "test",
}
OUT: dict[str, Any] = {
    "transfer_id": "t",
    "step": "out",
    "token": 1,
    "location_id": "WH-1",
    "source": "WH-1",
    "destination": "BEY-01",
    "lines": [{"line": 1, "item_id": "milk", "quantity": 1_000, "unit": "l"}],
}


def code(answer: Any) -> str:
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["status"] == answer.status_code
    assert problem["hint"]
    return str(problem["code"])


def test_a_branch_ships_and_hello_tells_where_it_stands(api: Api) -> None:
    log = BranchLog("BEY-01")
    for _ in range(3):
        log.record("ORDER_DEDUCTION")
    answer = msgspec.json.decode(api.call("branch", "POST", "/v1/sync/hello", HELLO).content, type=HelloAnswer)
    assert (answer.verdict, answer.head.sequence, answer.hello_every_seconds) == (Verdict.OK, 0, 30)
    assert answer.catalogue_version > 0
    first = api.call("branch", "POST", "/v1/sync/events", log.batch(1, 2))
    taken = msgspec.json.decode(first.content, type=EventsAnswer)
    assert (taken.appended, taken.passed_over, taken.head.sequence) == (2, 0, 2)
    again = msgspec.json.decode(api.call("branch", "POST", "/v1/sync/events", log.batch(1)).content, type=EventsAnswer)
    assert (again.appended, again.passed_over) == (1, 2)
    assert again.head.hash == log.sealed[-1].hash.hex()
    page = api.call("branch", "GET", "/v1/sync/log?after=1&limit=1").json()
    assert page == {
        "items": [{"sequence": 2, "hash": log.sealed[1].hash.hex(), "line": log.sealed[1].line.decode()}],
        "next": 2,
    }
    audit = api.call("admin", "GET", "/v1/sync/log?location_id=BEY-01").json()
    assert [each["line"].encode() for each in audit["items"]] == [each.line for each in log.sealed]
    assert audit["next"] == len(log.sealed)
    assert api.call("admin", "GET", f"/v1/sync/log?location_id=BEY-01&after={len(log.sealed)}").json() == {
        "items": [],
        "next": len(log.sealed),
    }


def test_a_branch_writes_and_reads_its_own_log_only(api: Api) -> None:
    log = BranchLog("BEY-01")
    log.record("ORDER_DEDUCTION")
    for who in ("branch 2", "warehouse"):
        assert code(api.call(who, "POST", "/v1/sync/events", log.batch())) == "wrong-location"
        assert code(api.call(who, "POST", "/v1/sync/hello", HELLO)) == "wrong-location"
        assert code(api.call(who, "GET", "/v1/sync/log?location_id=BEY-01")) == "wrong-location"
    for who in ("admin", "manager", "coordinator", "manager of BEY-01"):
        assert code(api.call(who, "POST", "/v1/sync/events", log.batch())) == "forbidden"
    assert api.call("admin", "GET", "/v1/sync/log?location_id=BEY-01").json()["items"] == []


def _damaged(raw: bytes, at: int) -> bytes:
    return raw[:at] + bytes([raw[at] ^ 0xFF]) + raw[at + 1 :]


def _bomb(log: BranchLog) -> bytes:
    body = zstandard.ZstdCompressor(level=19).compress(b"\0" * 200_000_000)
    header = wire.BatchHeader("BEY-01", 1, 2, log.sealed[0].hash.hex(), "00" * 32, [wire.FrameHeader(len(body), 1)])
    encoded = msgspec.json.encode(header)
    return wire.MAGIC + len(encoded).to_bytes(4, "big") + encoded + body


BAD: dict[str, tuple[Callable[[BranchLog], bytes], str]] = {
    "empty": (lambda log: b"", "bad-batch"),
    "json": (lambda log: b'{"events": []}', "bad-batch"),
    "cut short": (lambda log: log.batch()[:-1], "bad-batch"),
    "something added": (lambda log: log.batch() + b"x", "bad-batch"),
    "damaged": (lambda log: _damaged(log.batch(), -3), "bad-batch"),
    "a bomb": (_bomb, "bad-batch"),
    "a gap": (lambda log: log.batch(3), "gap"),
    "another log": (lambda log: _other().batch(1, 2), "forked"),
}


def _other() -> BranchLog:
    other = BranchLog("BEY-01")
    for _ in range(3):
        other.record("WASTE_RECORDED", reason="spoiled")
    return other


@pytest.mark.parametrize("what", BAD)
def test_a_bad_batch_is_refused_whole(api: Api, office: Engine, what: str) -> None:
    make, expected = BAD[what]
    log = BranchLog("BEY-01")
    for _ in range(4):
        log.record("ORDER_DEDUCTION")
    with office.begin() as connection:
        log.ship(connection, last=1)
    if what == "a gap":
        log.shipped = 0
    answer = api.call("branch", "POST", "/v1/sync/events", make(log))
    assert code(answer) == expected
    if what == "a gap":
        assert answer.json()["expected_sequence"] == 2
    assert len(api.call("branch", "GET", "/v1/sync/log").json()["items"]) == 1


def test_a_body_over_the_limit_is_refused_before_it_is_read(api: Api) -> None:
    answer = api.call("branch", "POST", "/v1/sync/events", b"x" * (wire.MAX_BATCH_BYTES + 1))
    assert code(answer) == "body-too-large"


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"protocol": "1"}, "invalid-request"),
        ({"protocol": True}, "invalid-request"),
        ({"protocol": 2**40}, "invalid-request"),
        ({"head": {"epoch": 1, "sequence": 2**70, "hash": "00" * 32}}, "invalid-request"),
        ({"head": {"epoch": 1, "sequence": -1, "hash": "00" * 32}}, "invalid-request"),
        ({"head": None}, "invalid-request"),
        ({"software": "\0"}, "malformed-json"),
        ({"location_id": "X" * 65}, "invalid-request"),
        ({"now": 10**30}, "invalid-request"),
        ({"open_counts": [{"count_id": "c", "opened_at": 10**18, "areas": []}]}, "invalid-request"),
    ],
)
def test_a_hello_that_cannot_be_is_refused(api: Api, change: dict[str, Any], expected: str) -> None:
    assert code(api.call("branch", "POST", "/v1/sync/hello", {**HELLO, **change})) == expected


@pytest.mark.parametrize("body", [b"", b"{", b'"\xff"', b"NaN", b"[" * 100_000, b'{"a":1}'])
def test_what_is_no_message_is_refused(api: Api, body: bytes) -> None:
    for who, method, path in (
        ("branch", "POST", "/v1/sync/hello"),
        ("coordinator", "POST", "/v1/instructions"),
        ("coordinator", "PUT", "/v1/instructions/t/out"),
        ("coordinator", "POST", "/v1/transfer-facts"),
    ):
        answer = api.call(who, method, path, body)
        assert answer.status_code in {400, 422}
        assert code(answer) in {"malformed-json", "invalid-request"}


@pytest.mark.parametrize(
    "change",
    [
        {"token": 0},
        {"token": 2**63},
        {"token": 1.5},
        {"step": "sideways"},
        {"location_id": "BEY-01"},
        {"destination": "WH-1"},
        {"transfer_id": "t\u200b"},
        {"lines": [{"line": 1, "item_id": "milk", "quantity": 0, "unit": "l"}]},
        {"lines": [{"line": 1, "item_id": "milk", "quantity": 10**15, "unit": "l"}]},
        {"lines": [{"line": 2_000, "item_id": "milk", "quantity": 1, "unit": "l"}]},
    ],
)
def test_an_instruction_that_cannot_be_is_refused_with_all_of_its_batch(api: Api, change: dict[str, Any]) -> None:
    body = {"instructions": [{**OUT, "transfer_id": "good"}, {**OUT, **change}]}
    assert code(api.call("coordinator", "POST", "/v1/instructions", body)) == "invalid-request"
    assert api.call("warehouse", "GET", "/v1/sync/instructions").json() == {"instructions": [], "next": 0}


def test_the_coordinator_asks_and_reads_the_answers(api: Api) -> None:
    one = api.call("coordinator", "PUT", "/v1/instructions/t/out", OUT)
    assert one.json() == {"transfer_id": "t", "step": "out", "outcome": "accepted", "highest_token": 1}
    assert code(api.call("coordinator", "PUT", "/v1/instructions/u/out", OUT)) == "invalid-request"
    assert code(api.call("coordinator", "PUT", "/v1/instructions/t/in", OUT)) == "invalid-request"
    both = {"instructions": [{**OUT, "token": 3}, {**OUT, "token": 2}]}
    raw = api.call("coordinator", "POST", "/v1/instructions", both).content
    assert [each.outcome for each in msgspec.json.decode(raw, type=InstructionAnswers).answers] == [
        "accepted",
        "fenced",
    ]
    page = msgspec.json.decode(api.call("warehouse", "GET", "/v1/sync/instructions").content, type=InstructionPage)
    assert [(each.transfer_id, each.token, each.number) for each in page.instructions] == [("t", 3, 2)]
    log = BranchLog("WH-1")
    log.record("TRANSFER_OUT", transfer_id="t", transfer_line=1)
    api.call("warehouse", "POST", "/v1/sync/events", log.batch())
    raw = api.call("coordinator", "POST", "/v1/transfer-facts", {"transfer_ids": ["t", "nothing"]}).content
    found = msgspec.json.decode(raw, type=FactsAnswer).transfers
    assert [(each.transfer_id, each.highest_token, len(each.facts)) for each in found] == [
        ("t", 3, 1),
        ("nothing", 0, 0),
    ]
    raw = api.call("coordinator", "GET", "/v1/transfer-facts/changes").content
    page_of_changes = msgspec.json.decode(raw, type=ChangesPage)
    assert page_of_changes.transfers == found[:1]
    assert api.call("warehouse", "GET", "/v1/sync/instructions?after=1").json() == {"instructions": [], "next": 2}
    assert code(api.call("coordinator", "GET", "/v1/transfer-facts/changes?after=x!")) == "bad-cursor"


def test_the_catalogue_is_pulled_and_verifies(api: Api, office: Engine) -> None:
    with office.begin() as connection:
        items.put(connection, [CatalogueItem(item_id="milk", name="Milk", unit="l")])
    for who, locations in (("branch", 1), ("coordinator", 3)):
        raw = api.call(who, "GET", "/v1/sync/catalogue").content
        page = read_catalogue_page(raw, 0, CATALOGUE_START)
        assert len([each for each in page.entries if each.location]) == locations
        assert [each.item.item_id for each in page.entries if each.item] == ["milk"]
        at = page.entries[-1]
        rest = api.call(who, "GET", f"/v1/sync/catalogue?after={at.version}").content
        assert read_catalogue_page(rest, at.version, at.hash).entries == []


def soon(api: Api, request: Callable[[], Any], cause: Callable[[], Any]) -> Any:
    """The answer to a request that waits until `cause` is called; far sooner than its wait."""
    with ThreadPoolExecutor(1) as pool:
        started = time.monotonic()
        waiting = pool.submit(request)
        done = threading.Event()
        waiting.add_done_callback(lambda _: done.set())
        assert not done.wait(0.3)
        cause()
        answer = waiting.result(15)
        assert time.monotonic() - started < 10
        return answer


def test_a_waiting_branch_is_woken_by_its_instructions_and_by_the_catalogue(api: Api, office: Engine) -> None:
    def wait() -> Any:
        return api.call("warehouse", "GET", "/v1/sync/instructions?wait=20").json()

    def ask_another() -> None:
        elsewhere = {**OUT, "transfer_id": "other", "step": "in", "location_id": "BEY-01"}
        api.call("coordinator", "PUT", "/v1/instructions/other/in", elsewhere)
        api.call("coordinator", "PUT", "/v1/instructions/t/out", OUT)

    page = soon(api, wait, ask_another)
    assert [each["transfer_id"] for each in page["instructions"]] == ["t"]
    log = BranchLog("WH-1")
    log.record("TRANSFER_OUT", transfer_id="t", transfer_line=1)
    log.ship_now(office)
    item = {"name": "Milk", "unit": "l"}
    assert soon(api, wait, lambda: api.call("admin", "PUT", "/v1/items/milk", item))["instructions"] == []


def test_a_change_between_a_look_and_the_wait_is_not_slept_through(api: Api, office: Engine) -> None:
    seen = read_catalogue_page(api.call("warehouse", "GET", "/v1/sync/catalogue").content, 0, CATALOGUE_START).version
    with office.begin() as connection:
        items.put(connection, [CatalogueItem(item_id="milk", name="Milk", unit="l")])
    started = time.monotonic()
    api.call("warehouse", "GET", f"/v1/sync/instructions?wait=20&catalogue_version={seen}")
    assert time.monotonic() - started < 10
    now = read_catalogue_page(api.call("warehouse", "GET", "/v1/sync/catalogue").content, 0, CATALOGUE_START).version
    started = time.monotonic()
    api.call("warehouse", "GET", f"/v1/sync/instructions?wait=0.4&catalogue_version={now}")
    assert time.monotonic() - started >= 0.4


def test_a_waiting_coordinator_is_woken_by_a_fact(api: Api) -> None:
    log = BranchLog("WH-1")
    log.record("ORDER_DEDUCTION")
    log.record("TRANSFER_REFUSED", transfer_id="t", reason="no-room")
    page = soon(
        api,
        lambda: api.call("coordinator", "GET", "/v1/transfer-facts/changes?wait=20").json(),
        lambda: api.call("warehouse", "POST", "/v1/sync/events", log.batch()),
    )
    assert [each["transfer_id"] for each in page["transfers"]] == ["t"]


def test_a_wait_in_vain_ends(api: Api) -> None:
    started = time.monotonic()
    assert api.call("warehouse", "GET", "/v1/sync/instructions?wait=0.4").json() == {"instructions": [], "next": 0}
    assert 0.4 <= time.monotonic() - started < 5
    for wait in ("31", "-1", "nan", "x"):
        assert code(api.call("warehouse", "GET", f"/v1/sync/instructions?wait={wait}")) == "invalid-request"
