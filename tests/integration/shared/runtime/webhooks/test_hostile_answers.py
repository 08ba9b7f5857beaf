"""Receivers that answer what nobody should: each attempt ends in time, and no word of theirs is kept."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

from shared.runtime.webhooks.address_guard import AddressGuard
from shared.runtime.webhooks.pinned_transport import PinnedTransport
from shared.runtime.webhooks.webhook_poster import NOT_HTTP, AttemptOutcome, WebhookAttempt, WebhookPoster
from shared.runtime.webhooks.webhook_signatures import secret_of

SECONDS = 2.0
OK = b"HTTP/1.1 200 OK\r\n"
BUSY = b"HTTP/1.1 503 Busy\r\ncontent-length: 0\r\n"


@contextmanager
def raw_receiver(first: bytes, then: bytes = b"", gap: float = 0.0) -> Iterator[str]:
    """Answers `first`, then `then` again and again, one each `gap` seconds, until the client goes; its URL."""
    listener = socket.create_server(("127.0.0.1", 0))
    closing = threading.Event()

    def serve() -> None:
        with suppress(OSError):
            while True:
                connection, _ = listener.accept()
                with connection, suppress(OSError):
                    connection.recv(65_536)
                    connection.sendall(first)
                    while then and not closing.wait(gap):
                        connection.sendall(then)
                    connection.shutdown(socket.SHUT_WR)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/"
    finally:
        closing.set()
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(5)


def attempt(url: str) -> tuple[WebhookAttempt, float]:
    poster = WebhookPoster(PinnedTransport(AddressGuard("127.0.0.1")), user_agent="larder/test", seconds=SECONDS)
    began = time.monotonic()
    try:
        secrets = [secret_of(b"1" * 32)]
        found = poster.post(
            url, message_id="m-0", body=b"{}", content_type="application/json", secrets=secrets, at=10**15
        )
    finally:
        poster.close()
    return found, time.monotonic() - began


@pytest.mark.parametrize(
    "first",
    [
        OK + b"x: " + b"a" * 5_000_000 + b"\r\n\r\n",
        OK + b"".join(b"x-%d: y\r\n" % number for number in range(100_000)) + b"\r\n",
        OK + b"content-length: -5\r\n\r\n",
        OK + b"content-length: 1\r\ncontent-length: 2\r\n\r\nab",
        OK + b"content-length: 99999999999999999999999\r\n\r\n",
        OK + b"sesame\r\n\r\n",
        OK + b"x: sesame\x00\r\n\r\n",
        b"SSH-2.0-sesame\r\n" * 3,
        b"+PONG sesame\r\n",
        b"\x00\xff\xfe\r\n\r\n",
        b"HTTP/1.1 099 sesame\r\n\r\n",
        b"HTTP/1.1 101 Switching\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n",
        b"HTTP/1.1 2",
        b"",
    ],
)
def test_what_is_not_http_is_no_answer_and_is_not_quoted(first: bytes) -> None:
    with raw_receiver(first) as url:
        found, _ = attempt(url)
    assert found == WebhookAttempt(AttemptOutcome.AWAY, None, NOT_HTTP)


@pytest.mark.parametrize(
    ("first", "then", "gap"),
    [
        (OK, b"x: y\r\n", 0.01),
        (OK, b"x", 0.05),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n", 0.01),
    ],
)
def test_headers_without_end_end_with_the_attempt(first: bytes, then: bytes, gap: float) -> None:
    with raw_receiver(first, then, gap) as url:
        found, took = attempt(url)
    assert found == WebhookAttempt(AttemptOutcome.AWAY, None, f"no answer within {SECONDS:g} s")
    assert took < SECONDS + 5


@pytest.mark.parametrize(
    ("first", "then"),
    [
        (OK + b"\r\n", b"a" * 65_536),
        (OK + b"transfer-encoding: chunked\r\n\r\n", b"1\r\na\r\n"),
        (OK + b"transfer-encoding: chunked\r\n\r\n", b"1" * 65_536),
        ((OK + b"content-length: 0\r\n\r\n") * 50, b""),
    ],
)
def test_a_body_without_end_is_not_read_and_its_status_counts(first: bytes, then: bytes) -> None:
    with raw_receiver(first, then) as url:
        found, took = attempt(url)
    assert found == WebhookAttempt(AttemptOutcome.DELIVERED, 200)
    assert took < SECONDS + 5


@pytest.mark.parametrize(
    "header",
    [
        b"\xff\xfe", b"1, 2", b"-5", b"1e309", b"9" * 70, b"Wed, 21 Oct 9999 07:28:00 +9999",
        b"1 Jan 1 00:00 +99999999999999", b"soon",
    ],
)  # fmt: skip
def test_a_retry_after_that_cannot_be_read_is_as_if_there_were_none(header: bytes) -> None:
    with raw_receiver(BUSY + b"retry-after: " + header + b"\r\n\r\n") as url:
        found, _ = attempt(url)
    assert found == WebhookAttempt(AttemptOutcome.AWAY, 503, "answered 503", None)
