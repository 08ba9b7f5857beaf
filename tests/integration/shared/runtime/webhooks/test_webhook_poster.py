"""Attempts against a real receiver: what answers mean, how long one takes, where the connection really goes."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from standardwebhooks.webhooks import Webhook

from shared.runtime.webhooks.address_guard import AddressGuard
from shared.runtime.webhooks.pinned_transport import PinnedTransport
from shared.runtime.webhooks.webhook_poster import AttemptOutcome, WebhookAttempt, WebhookPoster
from shared.runtime.webhooks.webhook_signatures import secret_of
from tests.support.hook_receiver import CERTIFICATE, HookReceiver, Received, Reply

SECRET = secret_of(b"s" * 32)
OLD = secret_of(b"o" * 32)
BODY = b'{"specversion":"1.0"}'


@pytest.fixture
def receiver() -> Iterator[HookReceiver]:
    with HookReceiver() as made:
        yield made


def poster(allow: str = "127.0.0.0/8", *, seconds: float = 5.0, **options: object) -> WebhookPoster:
    return WebhookPoster(
        PinnedTransport(AddressGuard(allow), **options),  # type: ignore[arg-type]
        user_agent="larder/test",
        seconds=seconds,
    )


def post(to: WebhookPoster, url: str, name: str = "m-0", at: int | None = None) -> WebhookAttempt:
    return to.post(
        url,
        message_id=name,
        body=BODY,
        content_type="application/cloudevents+json",
        secrets=[SECRET, OLD],
        at=int(time.time() * 1e6) if at is None else at,
    )


def test_a_message_arrives_as_it_was_given_and_its_signatures_verify(receiver: HookReceiver) -> None:
    assert post(poster(), receiver.url + "?shop=1") == WebhookAttempt(AttemptOutcome.DELIVERED, 200)
    (found,) = receiver.received
    assert found.path == "/hooks?shop=1"
    assert found.body == BODY
    assert found.headers["content-type"] == "application/cloudevents+json"
    assert found.headers["host"] == f"127.0.0.1:{receiver.port}"
    for secret in (SECRET, OLD):
        assert Webhook(secret).verify(found.body, dict(found.headers)) == {"specversion": "1.0"}


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        (200, "DELIVERED"), (204, "DELIVERED"), (299, "DELIVERED"), (410, "GONE"),
        (408, "AWAY"), (425, "AWAY"), (429, "AWAY"), (503, "AWAY"),
        (301, "REFUSED"), (307, "REFUSED"), (400, "REFUSED"), (401, "REFUSED"), (404, "REFUSED"), (500, "REFUSED"),
        (502, "REFUSED"), (599, "REFUSED"),
    ],
)  # fmt: skip
def test_what_an_answer_means(receiver: HookReceiver, status: int, outcome: str) -> None:
    receiver.answer = lambda _: Reply(status, {"Location": receiver.url + "/elsewhere"}, b"" if status == 204 else b"x")
    found = post(poster(), receiver.url)
    assert (found.outcome, found.status) == (outcome, status)
    assert (found.error is None) == (outcome == "DELIVERED")
    assert [each.path for each in receiver.received] == ["/hooks"], "no redirect is followed"


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("7", 7.0), ("0", 0.0), ("999999", 3_600.0), ("Thu, 01 Jan 2026 12:00:30 GMT", 30.0), ("-5", None),
        ("soon", None), ("Thu, 01 Jan 2026 11:00:00 GMT", 0.0), ("9" * 65, None), ("1.5", None),
    ],
)  # fmt: skip
def test_retry_after(receiver: HookReceiver, header: str, seconds: float | None) -> None:
    receiver.answer = lambda _: Reply(429, {"Retry-After": header})
    assert post(poster(), receiver.url, at=1_767_268_800_000_000).retry_after == seconds


def test_a_connection_is_kept_and_one_that_was_closed_is_made_anew(receiver: HookReceiver) -> None:
    sender = poster()
    for number in range(5):
        assert post(sender, receiver.url, f"m-{number}").outcome is AttemptOutcome.DELIVERED
    assert receiver.connections == 1
    port = receiver.port
    receiver.close()
    with HookReceiver(port=port) as again:
        assert post(sender, again.url).outcome is AttemptOutcome.DELIVERED


def test_an_answer_that_is_long_or_never_ends_counts_by_its_status(receiver: HookReceiver) -> None:
    sender = poster(seconds=1.0)
    receiver.answer = lambda _: Reply(200, content=b"x" * 1_000_000)
    assert post(sender, receiver.url).outcome is AttemptOutcome.DELIVERED
    receiver.answer = lambda _: Reply(200, drips=True)
    began = time.monotonic()
    assert post(sender, receiver.url).outcome is AttemptOutcome.DELIVERED
    assert time.monotonic() - began < 3


def test_nobody_there(receiver: HookReceiver) -> None:
    receiver.close()
    found = post(poster(), receiver.url)
    assert found.outcome is AttemptOutcome.AWAY
    assert found.status is None
    assert "refused" in (found.error or "")


def test_a_receiver_that_resets(receiver: HookReceiver) -> None:
    receiver.answer = lambda _: Reply(resets=True)
    assert post(poster(), receiver.url).outcome is AttemptOutcome.AWAY


@pytest.mark.parametrize("kind", ["hangs", "never reads", "drips headers"])
def test_a_whole_attempt_ends_in_time(receiver: HookReceiver, kind: str) -> None:
    sender = poster(seconds=1.0)
    url = receiver.url
    receiver.answer = lambda _: Reply(hangs=True)
    with socket.create_server(("127.0.0.1", 0)) as server:
        stopping = threading.Event()

        def drip() -> None:
            connection, _ = server.accept()
            with connection:
                connection.sendall(b"HTTP/1.1 200 OK\r\nX-Slow: ")
                while not stopping.wait(0.05):
                    try:
                        connection.sendall(b"x")
                    except OSError:
                        return

        if kind != "hangs":
            url = f"http://127.0.0.1:{server.getsockname()[1]}/"
        thread = threading.Thread(target=drip)
        if kind == "drips headers":
            thread.start()
        began = time.monotonic()
        found = post(sender, url)
        took = time.monotonic() - began
        stopping.set()
        if kind == "drips headers":
            thread.join()
    assert found.outcome is AttemptOutcome.AWAY
    assert found.error == "no answer within 1 s"
    assert 0.9 < took < 3


def test_a_name_that_never_resolves_ends_in_time() -> None:
    waiting = threading.Event()

    def resolve(_host: str, _port: int) -> list[str]:
        waiting.wait(20)
        return ["127.0.0.1"]

    began = time.monotonic()
    found = post(poster(seconds=0.5, resolve=resolve), "http://shop.example/")
    waiting.set()
    assert found.outcome is AttemptOutcome.AWAY
    assert time.monotonic() - began < 3


def test_a_name_whose_address_changes_between_check_and_connection(receiver: HookReceiver) -> None:
    """The rebinding of DNS: the name is public when it is checked, and this machine's a moment later."""
    answers = iter([["1.1.1.1"], ["127.0.0.1"]])
    asked: list[str] = []

    def resolve(host: str, _port: int) -> list[str]:
        asked.append(host)
        return next(answers)

    guard = AddressGuard()
    url = f"https://shop.example:{receiver.port}/hooks"
    guard.check_url(url, resolve)
    sender = WebhookPoster(PinnedTransport(guard, resolve=resolve), user_agent="larder/test", seconds=3.0)
    found = post(sender, url)
    assert found.outcome is AttemptOutcome.AWAY
    assert "127.0.0.1 is not a public address" in (found.error or "")
    assert asked == ["shop.example", "shop.example"], "the name is resolved once for a connection"
    assert receiver.connections == 0


def test_one_bad_address_among_good_ones_refuses_the_connection(receiver: HookReceiver) -> None:
    found = post(
        poster("127.0.0.1", resolve=lambda *_: ["127.0.0.1", "127.0.0.2"]), f"http://shop.example:{receiver.port}/"
    )
    assert found.outcome is AttemptOutcome.AWAY
    assert "127.0.0.2" in (found.error or "")
    assert receiver.connections == 0


def test_the_next_address_is_tried_where_one_takes_no_connection(receiver: HookReceiver) -> None:
    sender = poster(resolve=lambda *_: ["127.0.0.2", "127.0.0.1"])
    assert post(sender, f"http://shop.example:{receiver.port}/").outcome is AttemptOutcome.DELIVERED
    assert receiver.received[0].headers["host"] == f"shop.example:{receiver.port}"


def test_tls_keeps_the_name_while_the_connection_goes_to_the_checked_address(tmp_path: Path) -> None:
    certificate = tmp_path / "shop.pem"
    certificate.write_text(CERTIFICATE)
    trusting = ssl.create_default_context(cafile=str(certificate))
    with HookReceiver(certificate=certificate) as receiver:
        url = f"https://shop.example:{receiver.port}/hooks"
        sender = poster("127.0.0.1", resolve=lambda *_: ["127.0.0.1"], ssl_context=trusting)
        assert post(sender, url).outcome is AttemptOutcome.DELIVERED
        assert post(sender, url).outcome is AttemptOutcome.DELIVERED
        assert receiver.names == ["shop.example"], "one connection"
        assert receiver.received[0].headers["host"] == f"shop.example:{receiver.port}"
        # A certificate that nobody vouches for, and one of another name.
        plain = poster("127.0.0.1", resolve=lambda *_: ["127.0.0.1"])
        assert post(plain, url).outcome is AttemptOutcome.AWAY
        other = poster("127.0.0.1", resolve=lambda *_: ["127.0.0.1"], ssl_context=trusting)
        assert post(other, f"https://bank.example:{receiver.port}/").outcome is AttemptOutcome.AWAY
        assert len(receiver.received) == 2


def test_proxies_of_the_environment_are_not_used(receiver: HookReceiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    assert post(poster(), receiver.url).outcome is AttemptOutcome.DELIVERED


def test_cookies_are_not_kept(receiver: HookReceiver) -> None:
    receiver.answer = lambda _: Reply(200, {"Set-Cookie": "id=1"})
    sender = poster()
    post(sender, receiver.url)
    post(sender, receiver.url)
    assert all("cookie" not in each.headers for each in receiver.received)


def test_one_that_hangs_does_not_hold_up_another() -> None:
    """Threads share a transport; each has a deadline of its own."""

    def answer(received: Received) -> Reply:
        return Reply(hangs=received.path == "/slow")

    with HookReceiver(answer) as receiver:
        sender = poster(seconds=3.0)
        slow = threading.Thread(target=lambda: post(sender, receiver.url.replace("/hooks", "/slow")))
        slow.start()
        receiver.wait_for(1)
        began = time.monotonic()
        assert post(sender, receiver.url).outcome is AttemptOutcome.DELIVERED
        assert time.monotonic() - began < 2
        receiver.close()
        slow.join()
