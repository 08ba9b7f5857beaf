"""Sessions of the pages."""

import asyncio
from http.cookies import SimpleCookie

import pytest
from starlette.requests import Request
from starlette.responses import Response

from shared.runtime.http.auth import Authenticator
from shared.runtime.http.scopes import Role
from shared.runtime.pages.sessions import Session, Sessions, check_csrf
from shared.runtime.problems import Problem
from tests.unit.shared.runtime.http.test_auth import Keys, Seconds


class Browser:
    """Keeps the cookie that it was given."""

    def __init__(self, sessions: Sessions) -> None:
        self.sessions = sessions
        self.cookie = ""
        self.set_cookie = ""

    def login(self, text: str, scheme: str = "http") -> Session:
        response = Response()
        session = self.sessions.login(text, response, self.request(scheme))
        self.set_cookie = response.headers["set-cookie"]
        self.cookie = f"larder={SimpleCookie(self.set_cookie)['larder'].value}"
        return session

    def request(self, scheme: str = "http") -> Request:
        scope = {
            "type": "http",
            "scheme": scheme,
            "server": ("larder.example", 443),
            "path": "/",
            "query_string": b"",
            "headers": [(b"cookie", self.cookie.encode())],
            "client": ("10.0.0.1", 5),
        }
        return Request(scope)

    def session(self) -> Session | None:
        return asyncio.run(self.sessions.session(self.request()))


@pytest.fixture
def keys() -> Keys:
    return Keys()


@pytest.fixture
def clock() -> Seconds:
    return Seconds()


@pytest.fixture
def sessions(keys: Keys, clock: Seconds) -> Sessions:
    return Sessions(Authenticator(keys, clock), clock, cookie="larder", lifetime=100.0, limit=3)


def test_the_key_once_then_the_cookie(keys: Keys, sessions: Sessions) -> None:
    browser, key = Browser(sessions), keys.add(Role.MANAGER)
    session = browser.login(f"  {key.text}\n")
    assert browser.session() == session
    assert session.principal.role == Role.MANAGER
    attributes = browser.set_cookie.lower()
    assert "httponly" in attributes
    assert "samesite=strict" in attributes
    assert key.text not in browser.set_cookie


def test_the_cookie_of_a_session_by_tls_stays_there(keys: Keys, sessions: Sessions) -> None:
    browser, key = Browser(sessions), keys.add(Role.MANAGER)
    browser.login(key.text, "https")
    assert "; secure" in browser.set_cookie.lower()
    response = Response()
    sessions.logout(browser.request("https"), response)
    assert "; secure" in response.headers["set-cookie"].lower()
    browser.login(key.text, "http")
    assert "secure" not in browser.set_cookie.lower()


def test_a_wrong_key_begins_nothing(sessions: Sessions) -> None:
    with pytest.raises(Problem) as caught:
        Browser(sessions).login("lk_wrong")
    assert caught.value.status == 401


@pytest.mark.parametrize("cookie", ["", "larder=", "larder=guess", "other=x", "larder=\xff"])
def test_no_session(sessions: Sessions, cookie: str) -> None:
    browser = Browser(sessions)
    browser.cookie = cookie
    assert browser.session() is None


def test_it_ends_with_its_time_with_logout_and_with_its_key(keys: Keys, sessions: Sessions, clock: Seconds) -> None:
    browser, key = Browser(sessions), keys.add()
    browser.login(key.text)
    clock.now_seconds = 99.0
    assert browser.session() is not None
    clock.now_seconds = 100.0
    assert browser.session() is None

    browser.login(key.text)
    sessions.logout(browser.request(), Response())
    assert browser.session() is None

    browser.login(key.text)
    keys.kept.clear()
    clock.now_seconds += 3.0
    assert browser.session() is None
    assert browser.session() is None


def test_their_number_is_bounded_and_the_longest_unused_goes(keys: Keys, sessions: Sessions) -> None:
    key = keys.add()
    browsers = [Browser(sessions) for _ in range(4)]
    for browser in browsers[:3]:
        browser.login(key.text)
    assert browsers[0].session() is not None
    browsers[3].login(key.text)
    assert [browser.session() is not None for browser in browsers] == [True, False, True, True]


def test_csrf(keys: Keys, sessions: Sessions) -> None:
    key = keys.add()
    session, other = Browser(sessions).login(key.text), Browser(sessions).login(key.text)
    check_csrf(session, session.csrf_token)
    for presented in (None, "", other.csrf_token, "é", "\ud800"):
        with pytest.raises(Problem) as caught:
            check_csrf(session, presented)
        assert (caught.value.status, caught.value.code) == (403, "csrf-failed")
