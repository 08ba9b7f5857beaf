"""A command keeps its id until it has an answer, so that giving it again records it once."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from shared.runtime.cli import pending_commands
from shared.runtime.cli.errors import CommandRefused
from shared.runtime.cli.pending_commands import FILE_NAME, MOST, post_command, post_pending
from shared.runtime.client import RemoteProblem, ServiceClient
from tests.support.http_servers import problem_server

Answer = Callable[[httpx.Request], httpx.Response]
BODY = {"item_id": "milk", "quantity": "1"}


class Service:
    """Answers as `answer` says; keeps the keys and bodies it received."""

    def __init__(self) -> None:
        self.keys: list[str | None] = []
        self.bodies: list[Any] = []
        self.answer: Answer = lambda _: httpx.Response(200, json={"recorded": True})
        self.client = ServiceClient("http://service", transport=httpx.MockTransport(self._handle), sleep=lambda _: None)

    def _handle(self, request: httpx.Request) -> httpx.Response:
        self.keys.append(request.headers.get("idempotency-key"))
        self.bodies.append(json.loads(request.content))
        return self.answer(request)


def lost(request: httpx.Request) -> httpx.Response:
    raise httpx.ReadError("cut off", request=request)


@pytest.fixture
def service() -> Service:
    return Service()


def stored(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / FILE_NAME).read_bytes())
    return found


def test_the_id_is_stored_before_the_first_request_and_removed_with_the_answer(
    service: Service, tmp_path: Path
) -> None:
    seen: list[dict[str, Any]] = []

    def answer(_request: httpx.Request) -> httpx.Response:
        seen.append(stored(tmp_path))
        return httpx.Response(200, json={})

    service.answer = answer
    post_pending(service.client, tmp_path, "/v1/events", BODY)
    [kept] = seen[0].values()
    assert kept["made"] == service.keys[0]
    assert stored(tmp_path) == {}
    post_pending(service.client, tmp_path, "/v1/events", BODY)
    assert service.keys[0] != service.keys[1], "equal content is no duplicate"


def test_after_a_lost_answer_the_same_command_sends_the_same_id(service: Service, tmp_path: Path) -> None:
    service.answer = lost
    with pytest.raises(CommandRefused, match="not known whether it was recorded"):
        post_pending(service.client, tmp_path, "/v1/events", BODY)
    assert len(set(service.keys)) == 1
    assert len(service.keys) == pending_commands.TRIES
    service.answer = lambda _: httpx.Response(200, json={})
    post_pending(service.client, tmp_path, "/v1/events", {**BODY, "quantity": "2"})
    post_pending(service.client, tmp_path, "/v1/counts", BODY)
    post_pending(service.client, tmp_path, "/v1/events", BODY)
    assert service.keys[-1] == service.keys[0], "the same path and body"
    assert service.keys[0] not in service.keys[-3:-1], "another body, another path"


@pytest.fixture
def refusing() -> Iterator[tuple[ServiceClient, dict[str, Any]]]:
    """A client of a server on this machine that answers every POST with the problem in the given dict."""
    problem: dict[str, Any] = {}
    with problem_server(problem) as url, ServiceClient(url, sleep=lambda _: None) as client:
        yield client, problem


@pytest.mark.parametrize(
    ("status", "recorded", "forgotten"),
    [
        (409, None, True),
        (422, "no", True),
        (409, "yes", True),
        (503, "no", True),
        (409, "unknown", False),
        (503, "unknown", False),
        (503, None, False),
        (500, None, False),
        (500, {}, False),
    ],
)
def test_the_id_is_forgotten_only_where_the_outcome_is_known(
    refusing: tuple[ServiceClient, dict[str, Any]],
    tmp_path: Path,
    status: int,
    recorded: object,
    forgotten: bool,
) -> None:
    client, problem = refusing
    problem.update(status=status, code="some-problem", **({} if recorded is None else {"recorded": recorded}))
    with pytest.raises(RemoteProblem):
        post_pending(client, tmp_path, "/v1/events", BODY)
    assert (stored(tmp_path) == {}) is forgotten


def test_a_later_no_does_not_forget_what_got_no_answer(service: Service, tmp_path: Path) -> None:
    """The first answer is lost, the second is 503 busy: the third sends the same key, in one call or in three."""
    busy = httpx.Response(503, json={"code": "busy", "recorded": "no"})
    refused = httpx.Response(422, json={"code": "unknown-item", "recorded": "no"})
    for number, answers in enumerate(([lost, busy], [lost, refused], [refused, lost, busy, refused])):
        left = [*answers]

        def answer(request: httpx.Request) -> httpx.Response:
            given = left.pop(0) if len(left) > 1 else left[0]  # noqa: B023
            return given(request) if callable(given) else given  # type: ignore[return-value]

        service.answer, service.keys = answer, []
        folder = tmp_path / str(number)
        folder.mkdir()
        while len(left) > 1 or len(service.keys) < 6:
            with pytest.raises((CommandRefused, RemoteProblem)):
                post_pending(service.client, folder, "/v1/events", BODY)
        unsure = service.keys[1:] if answers[0] is refused else service.keys
        assert len(set(unsure)) == 1
        service.answer = lambda _: httpx.Response(200, json={})
        post_pending(service.client, folder, "/v1/events", BODY)
        assert service.keys[-1] == unsure[0]
        post_pending(service.client, folder, "/v1/events", BODY)
        assert service.keys[-1] != unsure[0]


def test_an_id_can_be_a_member_of_the_body(service: Service, tmp_path: Path) -> None:
    service.answer = lost
    for _ in range(2):
        with pytest.raises(CommandRefused):
            post_pending(service.client, tmp_path, "/v1/transfers", BODY, id_member="transfer_id")
    assert set(service.keys) == {None}
    assert len({body["transfer_id"] for body in service.bodies}) == 1
    assert {name: service.bodies[0][name] for name in BODY} == BODY


def test_a_command_with_a_key_of_its_own_stores_nothing(service: Service, tmp_path: Path) -> None:
    assert post_command(service.client, "/v1/events", BODY, key="till-1") == {"recorded": True}
    assert service.keys == ["till-1"]
    assert not (tmp_path / FILE_NAME).exists()


@pytest.mark.parametrize("content", [b"", b"no json", b"[]", b'{"x": {"made": 1}}', b"\xff", b'{"x": {"since": 1}}'])
def test_a_file_that_cannot_be_decoded_refuses_the_command(service: Service, tmp_path: Path, content: bytes) -> None:
    (tmp_path / FILE_NAME).write_bytes(content)
    with pytest.raises(CommandRefused, match=re.escape(str(tmp_path / FILE_NAME))) as refused:
        post_pending(service.client, tmp_path, "/v1/events", BODY)
    assert "move the file away" in refused.value.hint
    assert service.bodies == []
    assert (tmp_path / FILE_NAME).read_bytes() == content


def test_a_file_that_cannot_be_opened_refuses_the_command(service: Service, tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).mkdir()
    with pytest.raises(CommandRefused, match="cannot be read"):
        post_pending(service.client, tmp_path, "/v1/events", BODY)
    assert service.bodies == []


def test_a_transfer_stored_by_an_older_version_keeps_its_id(service: Service, tmp_path: Path) -> None:
    """Its entry has another member, and another digest: of the body alone."""
    digest = sha256(msgspec.json.encode(BODY, order="sorted")).hexdigest()
    other = {"made": "m", "since": 4e9}
    former = {"transfer_id": "t-1", "since": 4e9}
    (tmp_path / FILE_NAME).write_text(json.dumps({digest: former, "0" * 64: other}))
    service.answer = lost
    with pytest.raises(CommandRefused):
        post_pending(service.client, tmp_path, "/v1/transfers", BODY, id_member="transfer_id")
    service.answer = lambda _: httpx.Response(200, json={})
    post_pending(service.client, tmp_path, "/v1/transfers", BODY, id_member="transfer_id")
    assert {body["transfer_id"] for body in service.bodies} == {"t-1"}
    assert stored(tmp_path) == {"0" * 64: other}
    post_pending(service.client, tmp_path, "/v1/transfers", BODY, id_member="transfer_id")
    assert service.bodies[-1]["transfer_id"] != "t-1", "it was answered"


def test_what_is_stored_has_a_bound(service: Service, tmp_path: Path) -> None:
    old = {f"old-{number}": {"made": "m", "since": 1.0} for number in range(3)}
    recent = {f"recent-{number}": {"made": "m", "since": 4e9 + number} for number in range(MOST + 5)}
    (tmp_path / FILE_NAME).write_text(json.dumps({**old, **recent}))
    post_pending(service.client, tmp_path, "/v1/events", BODY)
    kept = stored(tmp_path)
    assert len(kept) == MOST
    assert not old.keys() & kept.keys()
    assert "recent-0" not in kept
