"""The routes of subscriptions at a branch, on both databases: every field, every refusal, keys sent twice."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from schemathesis.generation import GenerationMode

from shared.outbox.message_cursor import BEFORE_ALL, MessageCursor
from shared.runtime.webhooks.webhook_signatures import secret_bytes
from tests.support.branch import PLACE
from tests.support.branch_api import Caller, a_caller
from tests.support.listed_messages import ADDED, REMOVED, ListedMessages
from tests.support.openapi import try_out

PATH = "/v1/subscriptions"
URL = "http://127.0.0.1:9/hooks"


@pytest.fixture(params=["sqlite", "postgresql"])
def caller(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Caller]:
    """A branch whose log has published three messages."""
    url = None
    if request.param == "postgresql":
        make: Callable[[], str] = request.getfixturevalue("postgres_url_factory")
        url = make()
    messages = ListedMessages()
    for _ in range(3):
        messages.add(PLACE, ADDED)
    with a_caller(tmp_path, url, messages) as made:
        yield made


def create(caller: Caller, **fields: Any) -> dict[str, Any]:
    answer = caller.post(PATH, {"url": URL, **fields})
    assert answer.status_code == 201, answer.text
    return answer.json()


def test_a_subscription_from_its_making_to_its_end(caller: Caller) -> None:
    made = create(caller, types=[REMOVED, ADDED], label="Shop")
    secret = made.pop("secret")
    assert len(secret_bytes(secret)) == 32
    end = str(MessageCursor(1, 3, 0))
    assert made == {
        "subscription_id": made["subscription_id"],
        "url": URL,
        "types": [ADDED, REMOVED],
        "label": "Shop",
        "location_ids": None,
        "state": "ACTIVE",
        "created_at": made["created_at"],
        "cursors": [
            {
                "location_id": PLACE,
                "cursor": end,
                "behind": 0,
                "failing_since": None,
                "next_try_at": None,
                "error": None,
            }
        ],
    }
    at = f"{PATH}/{made['subscription_id']}"
    assert caller.get(at).json() == made
    assert caller.get(PATH).json() == {"items": [made], "next": None}
    changed = caller.send("PATCH", at, {"types": None, "label": None, "state": "PAUSED"}).json()
    assert (changed["types"], changed["label"], changed["state"], changed["url"]) == (None, None, "PAUSED", URL)
    assert caller.send("PATCH", at, {}).json() == changed
    rotated = caller.post(f"{at}/rotate", {"overlap_seconds": 60}).json()
    assert rotated["secret"] != secret
    assert caller.post(f"{at}/rotate").status_code == 200, "without a body it overlaps for a day"
    replayed = caller.post(f"{at}/replay", {"after": "start"})
    assert replayed.status_code == 202
    assert replayed.json()["cursors"][0] | {"behind": 3, "cursor": str(BEFORE_ALL)} == replayed.json()["cursors"][0]
    assert caller.get(f"{at}/deliveries").json() == {"items": [], "next": None}
    gone = caller.send("DELETE", at)
    assert (gone.status_code, gone.content) == (204, b"")
    for answer in (
        caller.get(at),
        caller.send("DELETE", at),
        caller.send("PATCH", at, {"label": "x"}),
        caller.post(f"{at}/rotate", {}),
        caller.post(f"{at}/replay", {"after": "end"}),
        caller.get(f"{at}/deliveries"),
    ):
        assert (answer.status_code, answer.json()["code"]) == (404, "subscription-not-found")
    assert caller.get(PATH).json()["items"] == []


@pytest.mark.parametrize(
    ("after", "cursor", "behind"),
    [("end", MessageCursor(1, 3, 0), 0), ("start", BEFORE_ALL, 3), (str(MessageCursor(1, 2, 0)), (1, 2, 0), 1)],
)
def test_where_it_begins(caller: Caller, after: str, cursor: tuple[int, int, int], behind: int) -> None:
    (found,) = create(caller, after=after)["cursors"]
    assert (found["cursor"], found["behind"]) == (str(MessageCursor(*cursor)), behind)


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({}, 422, "invalid-request"),
        ({"url": ""}, 422, "invalid-request"),
        ({"url": "https://"}, 422, "url-refused"),
        ({"url": "ftp://shop.example"}, 422, "url-refused"),
        ({"url": "https://10.0.0.1/"}, 422, "url-refused"),
        ({"url": "https://169.254.169.254/latest"}, 422, "url-refused"),
        ({"url": "https://[::1]/"}, 422, "url-refused"),
        ({"url": "http://93.184.215.14/"}, 422, "url-refused"),
        ({"url": "https://user:word@127.0.0.1/"}, 422, "url-refused"),
        ({"url": URL, "types": []}, 422, "invalid-request"),
        ({"url": URL, "types": ["larder.Unheard"]}, 422, "invalid-request"),
        ({"url": URL, "types": ["StockAdded"]}, 422, "invalid-request"),
        ({"url": URL, "after": "now"}, 422, "invalid-request"),
        ({"url": URL, "after": str(MessageCursor(1, 4, 0))}, 409, "cursor-ahead"),
        ({"url": URL, "location_ids": [PLACE]}, 422, "invalid-request"),
        ({"url": URL, "label": "\x07"}, 422, "invalid-request"),
        ({"url": URL, "secret": "mine"}, 422, "invalid-request"),
    ],
)
def test_what_is_not_made(caller: Caller, body: dict[str, Any], status: int, code: str) -> None:
    answer = caller.post(PATH, body)
    assert (answer.status_code, answer.json()["code"], answer.json()["recorded"]) == (status, code, "no")
    assert answer.json()["hint"]
    assert caller.get(PATH).json()["items"] == []


def test_an_unknown_type_is_told_the_known_ones(caller: Caller) -> None:
    (fault,) = caller.post(PATH, {"url": URL, "types": ["larder.Unheard"]}).json()["errors"]
    assert fault["field"] == "types[0]"
    assert ADDED in fault["allowed"]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({}, "invalid-request"),
        ({"after": "start", "message_id": "00000001-0000-7000-8000-000000000000-0"}, "invalid-request"),
        ({"after": "yesterday"}, "invalid-request"),
        ({"message_id": "4711"}, "invalid-request"),
        ({"message_id": "00000001-0000-7000-8000-000000000000-0", "location_id": PLACE}, "invalid-request"),
        ({"message_id": "00000001-0000-7000-8000-000000000000-0"}, "unknown-message"),
        ({"after": "start", "location_id": "TRI-01"}, "invalid-request"),
        ({"after": str(MessageCursor(9, 1, 0))}, "cursor-ahead"),
    ],
)
def test_what_is_not_replayed(caller: Caller, body: dict[str, Any], code: str) -> None:
    at = f"{PATH}/{create(caller)['subscription_id']}"
    before = caller.get(at).json()
    assert caller.post(f"{at}/replay", body).json()["code"] == code
    assert caller.get(at).json() == before


def test_the_same_request_with_the_same_key_is_answered_the_same(caller: Caller) -> None:
    body = {"url": URL, "types": [ADDED, REMOVED]}
    first = caller.post(PATH, body, key="make-1")
    again = caller.post(PATH, {"types": [ADDED, REMOVED], "url": URL}, key="make-1")
    assert (again.status_code, again.json()) == (201, first.json())
    other = caller.post(PATH, {**body, "label": "x"}, key="make-1")
    assert (other.status_code, other.json()["code"]) == (409, "key-reused")
    assert caller.post(PATH, body, key="make-2").json()["subscription_id"] != first.json()["subscription_id"]
    assert caller.post(PATH, body, role="group", key="make-1").json()["secret"] != first.json()["secret"]
    assert len(caller.get(PATH).json()["items"]) == 3
    at = f"{PATH}/{first.json()['subscription_id']}"
    rotated = caller.post(f"{at}/rotate", {}, key="turn-1").json()
    assert caller.post(f"{at}/rotate", {}, key="turn-1").json() == rotated
    assert caller.post(f"{at}/rotate", {}, key="turn-2").json() != rotated
    reused = caller.post(f"{at}/rotate", {"overlap_seconds": 1}, key="turn-1")
    assert (reused.status_code, reused.json()["code"]) == (409, "key-reused")
    for path in (PATH, f"{at}/rotate", f"{at}/replay"):
        refused = caller.post(path, body, key="\x7f")
        assert (refused.status_code, refused.json()["code"]) == (422, "invalid-idempotency-key")


def test_what_was_lost_is_asked_for_again_though_it_would_be_refused_by_now(caller: Caller) -> None:
    """The answer was lost; meanwhile the log was restored to an earlier place, so that the cursor is ahead of it."""
    place = str(MessageCursor(1, 3, 0))
    body = {"url": URL, "after": place}
    made = caller.post(PATH, body, key="make-1").json()
    at = f"{PATH}/{made['subscription_id']}"
    replayed = caller.post(f"{at}/replay", {"after": place}, key="again-1")
    assert replayed.status_code == 202
    messages: ListedMessages = caller.node.subscriptions.desk._reader  # type: ignore[assignment]
    messages._ends[PLACE] = MessageCursor(1, 1, 0)
    assert caller.post(PATH, body, key="make-2").json()["code"] == "cursor-ahead"
    assert caller.post(PATH, body, key="make-1").json() == made
    assert caller.post(f"{at}/replay", {"after": place}, key="again-2").json()["code"] == "cursor-ahead"
    assert caller.post(f"{at}/replay", {"after": place}, key="again-1").status_code == 202
    assert caller.post(f"{at}/replay", {"after": "end"}, key="again-1").json()["code"] == "key-reused"
    newer = caller.post(f"{at}/rotate", {"overlap_seconds": 0}).json()["secret"]
    assert caller.post(PATH, body, key="make-1").json()["secret"] == newer, "the secret that signs now"
    assert len(caller.get(PATH).json()["items"]) == 1


def test_who_may(caller: Caller) -> None:
    at = f"{PATH}/{create(caller)['subscription_id']}"
    requests: tuple[tuple[str, str, Any], ...] = (
        ("GET", PATH, None),
        ("POST", PATH, {"url": URL}),
        ("GET", at, None),
        ("PATCH", at, {}),
        ("POST", f"{at}/rotate", {}),
        ("POST", f"{at}/replay", {"after": "end"}),
        ("GET", f"{at}/deliveries", None),
        ("DELETE", at, None),
    )
    for method, path, body in requests:
        for role in ("staff", "viewer", "branch", "coordinator", "other"):
            assert caller.send(method, path, body, role=role).status_code == 403, (method, path, role)
        assert caller.send(method, path, body, role=None).status_code == 401
    for method, path, body in requests:
        assert caller.send(method, path, body, role="admin").status_code < 300, (method, path)


def test_pages(caller: Caller) -> None:
    made = [create(caller, label=str(number))["subscription_id"] for number in range(5)]
    first = caller.get(PATH, limit=2).json()
    second = caller.get(PATH, limit=2, after=first["next"]).json()
    third = caller.get(PATH, limit=2, after=second["next"]).json()
    found = [each["subscription_id"] for page in (first, second, third) for each in page["items"]]
    assert found == sorted(made)
    assert third["next"] is None
    assert caller.get(PATH, after="%%").json()["code"] == "bad-cursor"
    assert caller.get(f"{PATH}/{made[0]}/deliveries", after="xx").json()["code"] == "bad-cursor"
    assert caller.get(f"{PATH}/{made[0]}/deliveries", state="LOST").status_code == 422


def test_there_is_an_end_of_subscriptions(caller: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.subscriptions.subscription_changes.MOST_SUBSCRIPTIONS", 2)
    create(caller)
    create(caller)
    refused = caller.post(PATH, {"url": URL})
    assert (refused.status_code, refused.json()["code"]) == (409, "too-many-subscriptions")


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
def test_no_request_is_answered_by_a_fault(caller: Caller, mode: GenerationMode) -> None:
    create(caller)
    schema = schemathesis.openapi.from_dict(caller.app.openapi())
    tried = 0
    for found in schema.get_all_operations():
        operation = found.ok()  # type: ignore[union-attr]
        if operation.path.startswith(PATH):
            tried += 1
            try_out(
                operation.as_strategy(generation_mode=mode),
                lambda method, path, headers, body: caller.send(method, path, raw=body, headers=headers),
                examples=10,
            )
    assert tried == 8
