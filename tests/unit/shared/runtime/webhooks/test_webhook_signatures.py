"""Signatures against the published vector of Standard Webhooks and its own library, and what is no signature."""

from __future__ import annotations

import time
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from shared.runtime.webhooks.webhook_signatures import (
    InvalidSignature,
    SignatureExpired,
    secret_bytes,
    secret_of,
    signature,
    signed_headers,
    verify,
)

# From the specification's own tests.
VECTOR_SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
VECTOR_ID = "msg_p5jXN8AQM9LWM0D4loKWxJek"
VECTOR_TIMESTAMP = 1_614_265_330
VECTOR_BODY = b'{"test": 2432232314}'
VECTOR_SIGNATURE = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
AT = VECTOR_TIMESTAMP * 1_000_000

SECRETS = st.binary(min_size=24, max_size=64).map(secret_of)


def test_the_published_vector() -> None:
    assert signature(VECTOR_SECRET, VECTOR_ID, VECTOR_TIMESTAMP, VECTOR_BODY) == VECTOR_SIGNATURE
    headers = signed_headers([VECTOR_SECRET], VECTOR_ID, AT, VECTOR_BODY)
    assert headers == {
        "webhook-id": VECTOR_ID,
        "webhook-timestamp": str(VECTOR_TIMESTAMP),
        "webhook-signature": VECTOR_SIGNATURE,
    }


@given(SECRETS, st.text("abcdef0123456789-", min_size=1, max_size=60), st.text(max_size=200))
def test_the_library_of_the_standard_takes_our_signatures_and_we_take_its(secret: str, name: str, text: str) -> None:
    body = text.encode("utf-8", "replace")
    now = int(time.time())
    ours = signed_headers([secret], name, now * 1_000_000, body)
    Webhook(secret).verify(body, ours, json_parse=False)
    theirs = Webhook(secret).sign(name, datetime.fromtimestamp(now, UTC), body.decode())
    assert theirs == ours["webhook-signature"]
    assert verify([secret], {**ours, "webhook-signature": theirs}, body, now * 1_000_000) == name


@given(st.lists(SECRETS, min_size=2, max_size=3, unique=True), st.binary(max_size=100))
def test_each_of_several_secrets_verifies(secrets: list[str], body: bytes) -> None:
    headers = signed_headers(secrets, "m-1", AT, body)
    for each in secrets:
        assert verify([each], headers, body, AT) == "m-1"
    assert verify(secrets, signed_headers(secrets[-1:], "m-1", AT, body), body, AT) == "m-1"


@given(SECRETS, SECRETS, st.binary(max_size=100), st.binary(max_size=100))
def test_another_secret_or_another_body_does_not(one: str, other: str, body: bytes, changed: bytes) -> None:
    headers = signed_headers([one], "m-1", AT, body)
    if one != other:
        with pytest.raises(InvalidSignature):
            verify([other], headers, body, AT)
    if body != changed:
        with pytest.raises(InvalidSignature):
            verify([one], headers, changed, AT)


@pytest.mark.parametrize(
    "changes",
    [
        {"webhook-id": ""},
        {"webhook-id": "m" * 257},
        {"webhook-timestamp": ""},
        {"webhook-timestamp": "now"},
        {"webhook-timestamp": "-1"},
        {"webhook-timestamp": "1" * 13},
        {"webhook-timestamp": "١"},
        {"webhook-signature": ""},
        {"webhook-signature": "v1"},
        {"webhook-signature": "v2,AAAA"},
        {"webhook-signature": "v1,\ud800"},
        {"webhook-signature": "v1,AAAA " * 2_000},
    ],
)
def test_headers_that_prove_nothing(changes: dict[str, str]) -> None:
    headers = signed_headers([VECTOR_SECRET], "m-1", AT, b"{}") | changes
    with pytest.raises(InvalidSignature):
        verify([VECTOR_SECRET], headers, b"{}", AT)
    with pytest.raises(InvalidSignature):
        verify([VECTOR_SECRET], {}, b"{}", AT)
    with pytest.raises(InvalidSignature):
        verify([], signed_headers([VECTOR_SECRET], "m-1", AT, b"{}"), b"{}", AT)


@pytest.mark.parametrize(("seconds", "good"), [(-301, False), (-300, True), (0, True), (300, True), (301, False)])
def test_five_minutes_either_way(seconds: int, good: bool) -> None:
    headers = signed_headers([VECTOR_SECRET], "m-1", AT, b"{}")
    now = AT + seconds * 1_000_000
    if good:
        assert verify([VECTOR_SECRET], headers, b"{}", now) == "m-1"
    else:
        with pytest.raises(SignatureExpired):
            verify([VECTOR_SECRET], headers, b"{}", now)
    assert verify([VECTOR_SECRET], headers, b"{}", None) == "m-1"
    # Who has no secret learns nothing of the time here.
    with pytest.raises(InvalidSignature):
        verify([secret_of(b"x" * 24)], headers, b"{}", now)


@given(st.binary(min_size=24, max_size=64))
def test_a_secret_is_read_back_with_and_without_padding(raw: bytes) -> None:
    assert secret_bytes(secret_of(raw)) == raw
    assert secret_bytes(secret_of(raw).rstrip("=")) == raw


@pytest.mark.parametrize(
    "text", ["", "whsec_", "whsec_AAAA", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_" + "é" * 40, "whsec_" + "!" * 40]
)
def test_what_is_no_secret(text: str) -> None:
    with pytest.raises(ValueError):
        secret_bytes(text)


@pytest.mark.parametrize("size", [23, 65])
def test_a_secret_has_its_size(size: int) -> None:
    with pytest.raises(ValueError):
        secret_of(bytes(size))
    with pytest.raises(WebhookVerificationError):
        Webhook(VECTOR_SECRET).verify(b"{}", {})
