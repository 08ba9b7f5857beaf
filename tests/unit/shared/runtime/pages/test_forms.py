"""What a browser sends."""

import asyncio

import pytest
from starlette.requests import Request

from shared.runtime.pages.forms import MAX_FIELDS, parse_form, read_form
from shared.runtime.problems import Problem


def read(body: bytes, **headers: str):
    sent = False

    async def receive():
        nonlocal sent
        assert not sent
        sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    given = {"content_type": "application/x-www-form-urlencoded", **headers}
    raw = [(name.replace("_", "-").encode(), text.encode()) for name, text in given.items()]
    return asyncio.run(read_form(Request({"type": "http", "method": "POST", "headers": raw}, receive)))


def test_fields_are_read_and_trimmed() -> None:
    form = parse_form(b"item=%20caf%C3%A9+noir%20&note=&quantity=2.5")
    assert dict(form) == {"item": "café noir", "note": "", "quantity": "2.5"}
    assert form["missing"] == ""


def test_what_was_typed_goes_into_a_query_without_the_token() -> None:
    form = parse_form(b"csrf=secret&item=a%26b&note=")
    assert form.query() == "item=a%26b"


@pytest.mark.parametrize(
    "body",
    [b"a=1&a=2", b"a=%00", b"%00=1", b"a=%ff", b"a=\xc3\xa9", b"&".join(b"f%d=" % n for n in range(MAX_FIELDS + 1))],
)
def test_a_form_that_no_browser_sends(body: bytes) -> None:
    with pytest.raises(Problem) as refused:
        parse_form(body)
    assert refused.value.status == 400


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_another_sites_form_is_refused(site: str) -> None:
    with pytest.raises(Problem) as refused:
        read(b"a=1", sec_fetch_site=site)
    assert refused.value.code == "csrf-failed"


@pytest.mark.parametrize("headers", [{}, {"sec_fetch_site": "same-origin"}, {"sec_fetch_site": "none"}])
def test_our_own_form_is_read(headers: dict[str, str]) -> None:
    assert dict(read(b"a=1", **headers)) == {"a": "1"}


def test_another_media_type_is_refused() -> None:
    with pytest.raises(Problem) as refused:
        read(b"{}", content_type="application/json")
    assert refused.value.status == 415


def test_a_form_may_have_as_many_fields_as_its_page() -> None:
    body = b"&".join(b"f%d=" % n for n in range(MAX_FIELDS + 1))
    assert len(parse_form(body, MAX_FIELDS + 1)) == MAX_FIELDS + 1
    with pytest.raises(Problem):
        parse_form(body + b"&one=", MAX_FIELDS + 1)
