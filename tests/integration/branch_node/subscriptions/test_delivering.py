"""A branch's subscriptions with their threads, to real receivers: all that a receiver may do, at the same time."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from jsonschema_rs import Draft202012Validator
from standardwebhooks.webhooks import Webhook

from branch_node.database.keys.key_changes import IssueKey, RevokeKey
from shared.outbox.message_records import MessageType
from shared.runtime.http.auth import NewKey, key_id_of
from shared.runtime.http.scopes import Role
from tests.support.branch import PLACE
from tests.support.branch_api import Caller, a_caller
from tests.support.every_message import log_of_every_type
from tests.support.hook_receiver import HookReceiver, Reply
from tests.support.listed_messages import ADDED, ListedMessages
from tests.support.published import reader_of
from tests.support.waiting import wait_until

PATH = "/v1/subscriptions"


class Rig:
    """A branch that delivers, and the messages of its log."""

    def __init__(self, caller: Caller, messages: ListedMessages) -> None:
        self.caller = caller
        self.messages = messages
        part = caller.node.subscriptions
        assert part is not None
        self.part = part

    def publish(self, count: int) -> list[str]:
        made = [message.id for _ in range(count) for message in self.messages.add(PLACE, ADDED)]
        self.part._committed(self.caller.node.writer.head)
        return made

    def subscribe(self, url: str) -> dict[str, Any]:
        answer = self.caller.post(PATH, {"url": url})
        assert answer.status_code == 201, answer.text
        return answer.json()

    def at(self, made: dict[str, Any]) -> dict[str, Any]:
        return self.caller.get(f"{PATH}/{made['subscription_id']}").json()

    def deliveries(self, made: dict[str, Any], **more: Any) -> list[dict[str, Any]]:
        return self.caller.get(f"{PATH}/{made['subscription_id']}/deliveries", **more).json()["items"]


@contextmanager
def a_rig(folder: Path, url: str | None = None) -> Iterator[Rig]:
    messages = ListedMessages()
    with a_caller(folder, url, messages) as caller:
        rig = Rig(caller, messages)
        rig.part.start()
        try:
            yield rig
        finally:
            rig.part.stop()


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    with a_rig(tmp_path) as made:
        yield made


def advance(rig: Rig, seconds: float) -> None:
    """Turn the node's clock and have the deliverer look."""
    rig.caller.node.clock._base.advance(round(seconds * 1e6))  # type: ignore[attr-defined]
    rig.part._threads.wake()


def tried_so_often(rig: Rig, made: dict[str, Any], count: int) -> bool:
    return [each["attempts"] for each in rig.deliveries(made)] == [count]


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_all_arrive_signed_and_in_order(database: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    url = None
    if database == "postgresql":
        make: Callable[[], str] = request.getfixturevalue("postgres_url_factory")
        url = make()
    with a_rig(tmp_path, url) as rig, HookReceiver() as receiver:
        made = rig.subscribe(receiver.url)
        sent = rig.publish(230)
        found = receiver.wait_for(230)
        assert [each.message_id for each in found] == sent
        # The timestamp is the node's, which stands still in this test.
        timestamp = int(found[0].headers["webhook-timestamp"])
        assert timestamp == rig.caller.node.clock.now() // 1_000_000
        signature = Webhook(made["secret"]).sign(sent[0], _moment(timestamp), found[0].body.decode())
        assert found[0].headers["webhook-signature"] == signature
        assert found[0].headers["content-type"] == "application/cloudevents+json"
        wait_until(lambda: rig.at(made)["cursors"][0]["behind"] == 0)
        assert rig.deliveries(made, limit=1)[0]["state"] == "DELIVERED"
        assert receiver.connections == 1


def _moment(seconds: int) -> Any:
    from datetime import UTC, datetime

    return datetime.fromtimestamp(seconds, UTC)


def test_one_that_hangs_holds_up_nobody(rig: Rig) -> None:
    with HookReceiver(lambda _: Reply(hangs=True)) as slow, HookReceiver() as quick:
        for _ in range(3):
            rig.subscribe(slow.url)
        rig.publish(1)
        slow.wait_for(3)
        good = rig.subscribe(quick.url)
        began = time.monotonic()
        sent = rig.publish(20)
        assert [each.message_id for each in quick.wait_for(20)] == sent
        assert time.monotonic() - began < 5
        assert rig.at(good)["state"] == "ACTIVE"


def test_whatever_a_receiver_does_it_is_noted_and_ends_well(rig: Rig) -> None:
    replies = [
        Reply(500),
        Reply(resets=True),
        Reply(302, {"Location": "http://127.0.0.1:1/elsewhere"}),
        Reply(429, {"Retry-After": "30"}),
        Reply(200),
    ]
    seen: list[tuple[int | None, str | None]] = []
    with HookReceiver() as receiver:
        receiver.answer = lambda _received: replies[min(len(receiver.received), len(replies) - 1)]
        made = rig.subscribe(receiver.url)
        (message,) = rig.publish(1)
        for count in range(1, len(replies)):
            receiver.wait_for(count)
            wait_until(partial(tried_so_often, rig, made, count))
            (tried,) = rig.deliveries(made)
            assert tried["state"] == "RETRYING"
            assert rig.at(made)["cursors"][0]["failing_since"] is not None
            seen.append((tried["status"], tried["error"]))
            advance(rig, 40)
        receiver.wait_for(len(replies))
        wait_until(lambda: rig.deliveries(made)[0]["state"] == "DELIVERED")
        assert [each.message_id for each in receiver.received] == [message] * 5
    assert [status for status, _ in seen] == [500, None, 302, 429]
    assert seen[1][1] is not None


def test_gone_disables_and_resuming_goes_on(rig: Rig) -> None:
    with HookReceiver(lambda _: Reply(410)) as receiver:
        made = rig.subscribe(receiver.url)
        (message,) = rig.publish(1)
        wait_until(lambda: rig.at(made)["state"] == "DISABLED")
        receiver.answer = lambda _: Reply(204)
        advance(rig, 3_600)
        assert len(receiver.received) == 1
        rig.caller.send("PATCH", f"{PATH}/{made['subscription_id']}", {"state": "ACTIVE"})
        receiver.wait_for(2)
        wait_until(lambda: [each["state"] for each in rig.deliveries(made)] == ["DELIVERED"])
        assert receiver.received[1].message_id == message


def test_a_receiver_that_was_down_gets_all_in_order(rig: Rig) -> None:
    with HookReceiver() as receiver:
        port = receiver.port
        made = rig.subscribe(receiver.url)
    sent = rig.publish(30)
    wait_until(lambda: rig.at(made)["cursors"][0]["error"] is not None)
    for _ in range(24):
        advance(rig, 3_600)
        sent += rig.publish(1)
    assert rig.at(made)["cursors"][0]["behind"] == 54
    with HookReceiver(port=port) as back:
        advance(rig, 400)
        assert [each.message_id for each in back.wait_for(54)] == sent
        wait_until(lambda: rig.at(made)["cursors"][0] | {"behind": 0, "error": None} == rig.at(made)["cursors"][0])


def test_a_rotated_secret_signs_beside_the_new_one(rig: Rig) -> None:
    with HookReceiver() as receiver:
        made = rig.subscribe(receiver.url)
        at = f"{PATH}/{made['subscription_id']}"
        new = rig.caller.post(f"{at}/rotate", {"overlap_seconds": 100}).json()["secret"]
        rig.publish(1)
        first = receiver.wait_for(1)[0]
        advance(rig, 101)
        rig.publish(1)
        second = receiver.wait_for(2)[1]
    for received, expected in ((first, [new, made["secret"]]), (second, [new])):
        timestamp = int(received.headers["webhook-timestamp"])
        signatures = [
            Webhook(each).sign(received.message_id, _moment(timestamp), received.body.decode()) for each in expected
        ]
        assert received.headers["webhook-signature"].split(" ") == signatures


def test_a_revoked_key_is_sent_nothing_more_until_somebody_takes_over(rig: Rig) -> None:
    caller = rig.caller
    shop = NewKey(key_id_of(caller.keys.text["integration"]) or "", "", "0" * 64)
    caller.node.writer.submit(IssueKey(shop, Role.INTEGRATION, (), "the shop")).result(10)
    with HookReceiver() as receiver:
        made = caller.post(PATH, {"url": receiver.url}, role="integration", key="make-1").json()
        assert caller.post(PATH, {"url": receiver.url, "label": "mine"}, key="make-1").status_code == 201
        first = rig.publish(1)
        receiver.wait_for(2)
        caller.node.writer.submit(RevokeKey(shop.key_id, lambda: None)).result(10)
        rig.part._threads.wake()
        wait_until(lambda: rig.at(made)["state"] == "DISABLED")
        missed = rig.publish(1)
        assert [each.message_id for each in receiver.wait_for(3)] == [*first, *first, *missed]
        wait_until(lambda: rig.at(made)["cursors"][0]["behind"] == 1)
        # The manager's own subscription was made with the same Idempotency-Key.
        taken = caller.send("PATCH", f"{PATH}/{made['subscription_id']}", {"state": "ACTIVE"})
        assert taken.json()["state"] == "ACTIVE"
        receiver.wait_for(4)
        wait_until(lambda: rig.at(made)["cursors"][0] | {"behind": 0, "error": None} == rig.at(made)["cursors"][0])


def test_what_is_posted_is_what_the_asyncapi_document_says(tmp_path: Path) -> None:
    """Every type of message, signed by one secret and by two, as it comes to a receiver."""
    reader = reader_of(log_of_every_type())
    with a_caller(tmp_path, None, reader) as caller, HookReceiver() as receiver:
        document = caller.get("/asyncapi.json", role=None).json()
        made = caller.post(PATH, {"url": receiver.url, "after": "start"}).json()
        caller.node.subscriptions.start()
        try:
            once = len(receiver.wait_for(len(MessageType)))
            at = f"{PATH}/{made['subscription_id']}"
            assert caller.post(f"{at}/rotate").status_code == 200
            assert caller.post(f"{at}/replay", {"after": "start"}).status_code == 202
            found = receiver.wait_for(2 * once)
        finally:
            caller.node.subscriptions.stop()
    operation = document["operations"]["postMessages"]
    headers = Draft202012Validator(document["components"]["schemas"]["SignedHeaders"])
    described = document["channels"]["webhooks"]["messages"]
    assert {json.loads(each.body)["type"] for each in found} == {each["name"] for each in described.values()}
    for each in found:
        body = json.loads(each.body)
        message = described[body["type"].rpartition(".")[2]]
        schema = document["components"]["schemas"][message["payload"]["$ref"].rpartition("/")[2]]
        Draft202012Validator(schema, validate_formats=True).validate(body)
        headers.validate(dict(each.headers))
        assert (each.method, each.headers["content-type"]) == (
            operation["bindings"]["http"]["method"], message["contentType"],
        )  # fmt: skip
        assert each.message_id == body["id"]
    assert [len(found[place].headers["webhook-signature"].split(" ")) for place in (0, -1)] == [1, 2]


def test_stopping_does_not_wait_for_a_receiver_that_hangs(tmp_path: Path) -> None:
    with a_rig(tmp_path) as rig, HookReceiver(lambda _: Reply(hangs=True)) as receiver:
        made = rig.subscribe(receiver.url)
        rig.publish(1)
        receiver.wait_for(1)
        began = time.monotonic()
        rig.part.stop()
        assert time.monotonic() - began < 4
        assert rig.deliveries(made) == [], "what we cut off ourselves is no failure of the receiver"
        assert not [each for each in threading.enumerate() if each.name.startswith("larder-deliver")]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_node_says_why_when_its_deliverer_dies(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> float:
        raise RuntimeError("a defect")

    assert rig.part.problem() is None
    monkeypatch.setattr(rig.part.deliverer, "step", broken)
    rig.part._threads.wake()
    wait_until(lambda: rig.part.problem() is not None)
    assert "a defect" in (rig.part.problem() or "")
