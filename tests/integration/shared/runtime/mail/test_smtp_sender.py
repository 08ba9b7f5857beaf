"""Sending to a real server: it refuses, hangs, drips, breaks off, forgets to answer, or takes the mail."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from email.message import EmailMessage
from email.policy import SMTP
from typing import Any

import pytest
from aiosmtpd.smtp import AuthResult

from shared.runtime.mail.mail_addresses import read_smtp_url
from shared.runtime.mail.smtp_sender import MAX_REASON, NotSent, SmtpSender
from tests.support.smtp_receiver import SmtpReceiver, receiving

SENDER, TO = "larder@shop.example", ["buyer@shop.example", "nobody@shop.example"]


@pytest.fixture
def receiver() -> SmtpReceiver:
    return SmtpReceiver()


@pytest.fixture
def port(receiver: SmtpReceiver) -> Iterator[int]:
    with receiving(receiver) as port:
        yield port


def message() -> EmailMessage:
    made = EmailMessage(policy=SMTP)
    made["From"], made["To"], made["Subject"] = SENDER, ", ".join(TO), "Bestellung für Beirut, قشطة"
    made.set_content("two lines\r\n.and a dot\r\n")
    return made


def sender(port: int, **bounds: float) -> SmtpSender:
    return SmtpSender(read_smtp_url(f"smtp://127.0.0.1:{port}"), **bounds)


def test_a_mail_is_taken(receiver: SmtpReceiver, port: int) -> None:
    assert sender(port).send(message(), SENDER, TO) == {}
    (received,) = receiver.received
    assert received["Subject"] == "Bestellung für Beirut, قشطة"
    assert received.get_content().splitlines() == ["two lines", ".and a dot"]
    assert receiver.recipients == [TO]


def test_for_some_of_them(receiver: SmtpReceiver, port: int) -> None:
    receiver.mode = "half"
    assert sender(port).send(message(), SENDER, TO) == {TO[1]: "550 there is nobody here"}
    assert receiver.recipients == [TO[:1]]


@pytest.mark.parametrize(
    ("mode", "why"),
    [
        ("refuse", "takes it for nobody: .*550 there is nobody here"),
        ("later", "451 the disk is full"),
        ("break", "clos"),
    ],
)
def test_what_was_not_taken_is_said(receiver: SmtpReceiver, port: int, mode: str, why: str) -> None:
    receiver.mode = mode
    with pytest.raises(NotSent, match=why) as refused:
        sender(port).send(message(), SENDER, TO)
    assert str(refused.value).isprintable()
    assert len(str(refused.value)) <= MAX_REASON


@pytest.mark.parametrize(("mode", "bounds"), [("hang", {"step_seconds": 0.3}), ("drip", {"most_seconds": 0.5})])
def test_a_server_that_is_slow_is_not_waited_for(
    receiver: SmtpReceiver, port: int, mode: str, bounds: dict[str, float]
) -> None:
    receiver.mode = mode
    begin = time.monotonic()
    with pytest.raises(NotSent):
        sender(port, **bounds).send(message(), SENDER, TO)
    assert time.monotonic() - begin < 10


def test_it_is_interrupted(receiver: SmtpReceiver, port: int) -> None:
    receiver.mode = "hang"
    made, caught = sender(port), []

    def send() -> None:
        with pytest.raises(NotSent) as refused:
            made.send(message(), SENDER, TO)
        caught.append(refused.value)

    thread = threading.Thread(target=send)
    thread.start()
    assert receiver.reached.wait(5)
    made.interrupt()
    thread.join(5)
    assert caught
    with pytest.raises(NotSent, match="stopped"):
        made.send(message(), SENDER, TO)


def test_nobody_listens() -> None:
    with receiving(SmtpReceiver()) as port:
        pass
    with pytest.raises(NotSent, match="ConnectionRefusedError"):
        sender(port).send(message(), SENDER, TO)


@pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS")
def test_a_user_and_a_password() -> None:
    receiver = SmtpReceiver()

    def check(server: Any, session: Any, envelope: Any, mechanism: str, auth: Any) -> AuthResult:
        del server, session, envelope, mechanism
        return AuthResult(success=(auth.login, auth.password) == (b"till 7", b"p@ss"), handled=False)

    with receiving(receiver, authenticator=check, auth_required=True, auth_require_tls=False) as port:
        good = SmtpSender(read_smtp_url(f"smtp://till%207:p%40ss@127.0.0.1:{port}"))
        assert good.send(message(), SENDER, TO) == {}
        with pytest.raises(NotSent, match="535") as refused:
            SmtpSender(read_smtp_url(f"smtp://till%207:geheim@127.0.0.1:{port}")).send(message(), SENDER, TO)
        assert "geheim" not in str(refused.value)


@pytest.mark.parametrize("url", ["smtp://127.0.0.1:{}?starttls", "smtps://127.0.0.1:{}"])
def test_a_server_without_encryption_gets_nothing_where_it_is_wanted(
    receiver: SmtpReceiver, port: int, url: str
) -> None:
    with pytest.raises(NotSent):
        SmtpSender(read_smtp_url(url.format(port)), step_seconds=2).send(message(), SENDER, TO)
    assert receiver.received == []
