"""Sources of orders and what they sign, at a branch and at head office alike."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from standardwebhooks.webhooks import Webhook

from shared.runtime.clock import SECOND
from shared.runtime.http.rate_limits import RateLimiter
from shared.runtime.webhooks.webhook_signatures import secret_of
from tests.integration.head_office.conftest import three_locations
from tests.support.source_services import (
    IGNORED,
    SOURCES,
    STRUCTURED,
    SourceService,
    Teller,
    branch_service,
    office_service,
)

OWN_SECRET = secret_of(bytes(range(32)))
WRONG_SECRET = secret_of(bytes(24))
BODY = json.dumps(IGNORED).encode()


@pytest.fixture(params=["branch", "branch on postgresql", "head office"])
def service(
    request: pytest.FixtureRequest, tmp_path: Path, postgres_url_factory: Callable[..., str]
) -> Iterator[SourceService]:
    if request.param == "head office":
        with office_service(tmp_path, postgres_url_factory(three_locations)) as made:
            yield made
    else:
        url = postgres_url_factory() if "postgresql" in request.param else None
        with branch_service(tmp_path, url) as made:
            yield made


@pytest.fixture
def teller(service: SourceService) -> Teller:
    return service.add()


def code_of(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


# Who signed


def test_what_is_signed_is_taken(teller: Teller) -> None:
    answer = teller.tell()
    assert (answer.status_code, answer.json()) == (
        200, {"id": "1", "type": "shop.order.packed", "order_id": None, "outcome": "ignored"}
    )  # fmt: skip
    attributes = {f"ce-{name}": value for name, value in IGNORED.items()}
    assert teller.post(b"", attributes | {"content-type": "application/json"}).json() == answer.json()


def test_the_library_of_the_standard_signs_what_is_taken(teller: Teller) -> None:
    at = datetime.fromtimestamp(teller.service.clock.now() // SECOND, UTC)
    headers = {
        "webhook-id": "m",
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": Webhook(teller.secret).sign("m", at, BODY.decode()),
    }
    assert teller.post(BODY, {"content-type": STRUCTURED, **headers}).status_code == 200


@pytest.mark.parametrize(
    "wrong",
    [
        {"webhook-signature": "v1,AAAA"},
        {"webhook-signature": "v1a,x v2,y"},
        {"webhook-signature": ""},
        {"webhook-id": "other"},
        {"webhook-timestamp": "soon"},
        {"webhook-timestamp": "1e9"},
    ],
)
def test_a_wrong_signature_is_refused_before_anything_is_read(teller: Teller, wrong: dict[str, str]) -> None:
    answer = teller.post(b"this is no JSON", {"content-type": "text/plain", **wrong})
    assert code_of(answer) == (401, "invalid-signature")
    assert answer.json()["recorded"] == "no"
    assert f"{teller.service.command} sources list" in answer.json()["hint"]


def test_an_unknown_source_is_answered_like_a_wrong_signature(teller: Teller) -> None:
    """Nobody learns by trying which sources there are."""
    unknown = teller.post(BODY, {}, path=f"{teller.path}x")
    wrong = teller.post(BODY, {}, secret=WRONG_SECRET)
    assert code_of(unknown) == (401, "invalid-signature")
    assert (unknown.status_code, unknown.json()) == (wrong.status_code, wrong.json())
    late = teller.post(BODY, {}, path=f"{teller.path}x", ago=4_000)
    late_and_wrong = teller.post(BODY, {}, secret=WRONG_SECRET, ago=4_000)
    assert (late.status_code, late.json()) == (late_and_wrong.status_code, late_and_wrong.json())
    assert teller.service.send("POST", "/v1/inbound/orders/%00", BODY, teller.signed(BODY)).status_code == 400


def test_headers_that_are_missing_or_doubled_are_no_signature(teller: Teller) -> None:
    headers = teller.signed(BODY) | {"content-type": STRUCTURED}
    for name in ("webhook-id", "webhook-timestamp", "webhook-signature"):
        left = {each: value for each, value in headers.items() if each != name}
        assert code_of(teller.service.send("POST", teller.path, BODY, left)) == (401, "invalid-signature")
        twice = [*headers.items(), (name, headers[name])]
        assert code_of(teller.service.send("POST", teller.path, BODY, twice)) == (401, "invalid-signature")


def test_a_key_is_no_signature_and_a_signature_no_key(teller: Teller) -> None:
    assert code_of(teller.service.call("POST", teller.path, IGNORED)) == (401, "invalid-signature")
    headers = teller.signed(b"")
    for path in (SOURCES, "/v1/stock"):
        assert code_of(teller.service.send("GET", path, b"", headers)) == (401, "unauthenticated")


def test_a_signature_of_one_source_is_none_of_another(teller: Teller) -> None:
    other = teller.service.add("market")
    assert teller.tell(path=other.path).status_code == 401
    assert other.tell().status_code == 200


@pytest.mark.parametrize(("ago", "status"), [(299, 200), (-299, 200), (302, 401), (-302, 401)])
def test_a_signature_expires(teller: Teller, ago: int, status: int) -> None:
    answer = teller.tell(ago=ago)
    assert answer.status_code == status
    if status == 401:
        assert answer.json()["code"] == "signature-expired"
    # One that is wrong, too, says nothing of the time.
    assert code_of(teller.tell(ago=400, secret=WRONG_SECRET)) == (401, "invalid-signature")


def test_many_wrong_signatures_of_one_address_are_slowed_down_and_a_right_one_passes(teller: Teller) -> None:
    codes = [teller.tell(secret=WRONG_SECRET).status_code for _ in range(40)]
    assert codes == [401] * 30 + [429] * 10
    last = teller.tell(secret=WRONG_SECRET)
    assert code_of(last) == (429, "too-many-attempts")
    assert int(last.headers["retry-after"]) > 0
    assert teller.tell().status_code == 200


def test_a_source_may_send_as_much_as_a_key_may(
    service: SourceService, teller: Teller, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = service.add("market")
    monkeypatch.setattr(service.authenticator, "_limiter", RateLimiter(0.1, 2))
    answers = [teller.tell() for _ in range(3)]
    assert [each.status_code for each in answers] == [200, 200, 429]
    assert (code_of(answers[2]), answers[2].json()["recorded"]) == ((429, "too-many-requests"), "no")
    assert 1 <= int(answers[2].headers["Retry-After"]) <= 10
    assert other.tell().status_code == 200
    # What nobody signed is not counted: nobody else can use up its rate.
    assert code_of(teller.tell(secret=WRONG_SECRET)) == (401, "invalid-signature")
    service.clock.advance(10 * SECOND)
    assert teller.tell().status_code == 200


# Bodies


def test_limits_and_types_of_bodies(teller: Teller) -> None:
    good = b'{"specversion":"1.0","id":"1","source":"/o","type":"x","data":"%s"}'
    for body, content_type, status in (
        (good % (b"x" * 250_000), STRUCTURED, 200),
        (good % (b"x" * 300_000), STRUCTURED, 413),
        (good % b"x", "application/json", 415),
        (good % b"x", "application/cloudevents-batch+json", 415),
        (good % b"x", "", 415),
        (b'{"specversion":"1.0","specversion":"1.0"}', STRUCTURED, 400),
        (b"[" * 100, STRUCTURED, 400),
        (b'{"a":NaN}', STRUCTURED, 400),
        (b"\xff", STRUCTURED, 400),
        (b"", STRUCTURED, 400),
    ):
        answer = teller.post(body, {"content-type": content_type})
        assert answer.status_code == status, (body[:50], answer.text)
    assert teller.post(BODY, {"content-type": STRUCTURED, "content-encoding": "gzip"}).status_code == 415
    headers = {"ce-specversion": "1.0", "ce-source": "/o", "ce-type": "x", "content-type": "application/json"}
    assert teller.post(b"{}", headers | {"ce-id": "%ff"}).status_code == 400
    assert teller.post(b"{}", headers | {"ce-id": "x" * 2_001}).status_code == 422
    assert teller.post(b"{}", headers).json()["errors"][0]["field"] == "ce"


texts = st.text(st.characters(max_codepoint=255, exclude_categories=["Cc"]), max_size=30)
headers_sent = st.dictionaries(
    st.sampled_from([
        "webhook-id", "webhook-timestamp", "webhook-signature", "content-type", "content-encoding", "ce-id",
        "ce-specversion", "ce-source", "ce-type", "ce-time",
    ]),
    texts | st.sampled_from([STRUCTURED, "application/json", "1.0", "v1,AAAA", "1767268800"]),
    max_size=6,
)  # fmt: skip
bodies = st.binary(max_size=60) | st.sampled_from([BODY, BODY[:-1], BODY + b"x", b"[]", b"null", b"{}"])


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(body=bodies, headers=headers_sent, signed=st.booleans())
@example(body=BODY, headers={"content-type": STRUCTURED}, signed=True)
def test_whatever_is_sent_is_answered_and_never_by_a_fault(
    service: SourceService, body: bytes, headers: dict[str, str], signed: bool
) -> None:
    if not service.call("GET", SOURCES).json()["items"]:
        service.add(secret=OWN_SECRET)
    service.clock.advance(SECOND * 2)
    teller = Teller(service, "/v1/inbound/orders/webshop", OWN_SECRET)
    sent = (teller.signed(body) if signed else {}) | headers
    answer = service.send("POST", teller.path, body, sent)
    assert answer.status_code in {200, 400, 401, 415, 422, 429}, answer.text
    if not signed:
        assert answer.status_code in {401, 415, 429}


# Sources and secrets


def test_a_secret_is_told_once(service: SourceService) -> None:
    made = service.call("POST", SOURCES, {"source": "webshop", "hold_days": 7})
    assert made.status_code == 201
    assert made.json() == {
        "source": "webshop", "secret": made.json()["secret"], "path": "/v1/inbound/orders/webshop"
    }  # fmt: skip
    listed = service.call("GET", SOURCES)
    assert made.json()["secret"] not in listed.text
    (found,) = listed.json()["items"]
    assert (found["source"], found["path"], found["hold_days"]) == ("webshop", made.json()["path"], 7)
    assert [each["expires_at"] for each in found["secrets"]] == [None]
    again = service.call("POST", SOURCES, {"source": "webshop"})
    assert code_of(again) == (409, "source-exists")
    assert f"{service.command} sources rotate" in again.json()["hint"]


def test_secrets_are_rotated_with_an_overlap_and_end(teller: Teller) -> None:
    service, old = teller.service, teller.secret

    def status(secret: str) -> int:
        return teller.tell(secret=secret).status_code

    made = service.call("POST", f"{SOURCES}/webshop/rotate", {"overlap_seconds": 60, "secret": OWN_SECRET})
    assert (made.status_code, made.json()["secret"]) == (200, OWN_SECRET)
    assert (status(old), status(OWN_SECRET)) == (200, 200)
    service.clock.advance(59 * SECOND)
    assert status(old) == 200
    service.clock.advance(SECOND)
    assert (status(old), status(OWN_SECRET)) == (401, 200)
    for _ in range(4):
        last = service.call("POST", f"{SOURCES}/webshop/rotate").json()["secret"]
    refused = service.call("POST", f"{SOURCES}/webshop/rotate", {})
    assert code_of(refused) == (409, "too-many-secrets")
    (listed,) = service.call("GET", SOURCES).json()["items"]
    assert [each["expires_at"] is None for each in listed["secrets"]] == [True, False, False, False, False]
    assert last not in json.dumps(listed)
    newest = service.call("POST", f"{SOURCES}/webshop/rotate", {"overlap_seconds": 0}).json()["secret"]
    assert (status(OWN_SECRET), status(last), status(newest)) == (401, 401, 200)


def test_nothing_is_taken_from_a_source_that_was_removed(teller: Teller) -> None:
    service = teller.service
    removed = service.call("DELETE", f"{SOURCES}/webshop")
    assert (removed.status_code, removed.json()) == (200, {"source": "webshop"})
    assert code_of(teller.tell()) == (401, "invalid-signature")
    for method, path in (("DELETE", "webshop"), ("POST", "webshop/rotate"), ("DELETE", "a%2Fb")):
        assert code_of(service.call(method, f"{SOURCES}/{path}")) == (404, "unknown-source")
    # One of the same name has another secret, and the first one does not come back.
    again = service.add()
    assert (teller.tell().status_code, again.tell().status_code) == (401, 200)


def test_sources_are_bounded_and_listed_in_pages(service: SourceService) -> None:
    for number in range(100):
        service.add(f"s{number:03}")
    refused = service.call("POST", SOURCES, {"source": "s100"})
    assert code_of(refused) == (409, "too-many-sources")
    assert f"{service.command} sources remove" in refused.json()["hint"]
    first = service.call("GET", f"{SOURCES}?limit=60").json()
    rest = service.call("GET", f"{SOURCES}?limit=60&after={first['next']}").json()
    assert [each["source"] for each in first["items"] + rest["items"]] == [f"s{number:03}" for number in range(100)]
    assert rest["next"] is None
    assert code_of(service.call("GET", f"{SOURCES}?after=zz")) == (400, "bad-cursor")


@pytest.mark.parametrize(
    "body",
    [
        {"source": "a:b"},
        {"source": ""},
        {"source": "a" * 41},
        {"source": "a", "secret": "whsec_AAAA"},
        {"source": "a", "secret": "secret"},
        {"source": "a", "hold_days": 0},
        {"source": "a", "hold_days": 367},
        {"source": "a", "hold_days": "7"},
        {"source": "a", "more": 1},
        {},
        [],
    ],
)
def test_a_source_is_read_strictly(service: SourceService, body: Any) -> None:
    assert code_of(service.call("POST", SOURCES, body)) == (422, "invalid-request")


def test_what_cannot_be_sent_about_sources(teller: Teller) -> None:
    service = teller.service
    for given_body in ({"overlap_seconds": -1}, {"overlap_seconds": 32 * 86_400}, {"secret": "x"}, {"more": 1}):
        assert code_of(service.call("POST", f"{SOURCES}/webshop/rotate", given_body)) == (422, "invalid-request")
    sent = {"authorization": f"Bearer {service.key}", "content-type": "application/json"}
    large = json.dumps({"source": "a" * 5_000}).encode()
    assert service.send("POST", SOURCES, large, sent).status_code == 413
    assert service.send("POST", SOURCES, b"{", sent).status_code == 400
    assert service.send("POST", SOURCES, b"{}", sent | {"content-encoding": "gzip"}).status_code == 415
    assert teller.tell().status_code == 200
