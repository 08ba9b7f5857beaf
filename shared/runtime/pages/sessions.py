"""Sessions of the pages: sign in with a key, then an HttpOnly, SameSite=Strict cookie that holds a random token.

Sessions are held in memory, so a restart requires the key again. A revoked key ends its sessions.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections import OrderedDict
from dataclasses import dataclass
from threading import Lock
from typing import Final

from starlette.concurrency import run_in_threadpool
from starlette.requests import HTTPConnection
from starlette.responses import Response

from shared.runtime.clock import Clock
from shared.runtime.http.auth import Authenticator, Principal, address_of, digest_of, key_id_of
from shared.runtime.problems import CSRF_FAILED, Problem

LIFETIME_SECONDS: Final = 12 * 3_600.0
MAX_SESSIONS: Final = 1_000


@dataclass(frozen=True, slots=True)
class Session:
    """A signed-in person. ``csrf_token`` goes into every form; ``expires`` is on the monotonic clock."""

    principal: Principal
    csrf_token: str
    key_id: str
    key_digest: str
    expires: float


class Sessions:
    """The sessions of one service: at most ``limit``; a new one replaces the least recently used."""

    def __init__(
        self,
        authenticator: Authenticator,
        clock: Clock,
        *,
        cookie: str,
        lifetime: float = LIFETIME_SECONDS,
        limit: int = MAX_SESSIONS,
    ) -> None:
        self._authenticator = authenticator
        self._clock = clock
        self._cookie = cookie
        self._lifetime = lifetime
        self._limit = limit
        self._sessions: OrderedDict[bytes, Session] = OrderedDict()
        self._lock = Lock()

    def login(self, key_text: str, response: Response, connection: HTTPConnection) -> Session:
        """Begin a session and set its cookie on ``response``, Secure where the request came by TLS.

        Raises 401 ``unauthenticated`` or 429.
        """
        text = key_text.strip()
        principal = self._authenticator.authenticate(text, address_of(connection))
        now = self._clock.monotonic()
        token = secrets.token_urlsafe(32)
        session = Session(
            principal, secrets.token_urlsafe(32), key_id_of(text) or "", digest_of(text), now + self._lifetime
        )
        with self._lock:
            for old in [name for name, found in self._sessions.items() if found.expires <= now]:
                del self._sessions[old]
            while len(self._sessions) >= self._limit:
                self._sessions.popitem(last=False)
            self._sessions[_name(token)] = session
        response.set_cookie(
            self._cookie,
            token,
            max_age=int(self._lifetime),
            path="/",
            secure=_by_tls(connection),
            httponly=True,
            samesite="strict",
        )
        return session

    def logout(self, connection: HTTPConnection, response: Response) -> None:
        """End the session of this request, if any, and delete its cookie."""
        with self._lock:
            self._sessions.pop(_name(connection.cookies.get(self._cookie, "")), None)
        response.delete_cookie(self._cookie, path="/", secure=_by_tls(connection), httponly=True, samesite="strict")

    async def session(self, connection: HTTPConnection) -> Session | None:
        """The session of this request, or None. Its key is authenticated again as for any request."""
        token = connection.cookies.get(self._cookie)
        return None if token is None else await run_in_threadpool(self._find, token, address_of(connection))

    def _find(self, token: str, address: str) -> Session | None:
        name = _name(token)
        with self._lock:
            session = self._sessions.get(name)
            if session is None:
                return None
            if session.expires <= self._clock.monotonic():
                del self._sessions[name]
                return None
            self._sessions.move_to_end(name)
        try:
            principal = self._authenticator.authenticate_digest(session.key_id, session.key_digest, address)
        except Problem as problem:
            if problem.status == 401:
                with self._lock:
                    self._sessions.pop(name, None)
                return None
            raise
        self._authenticator.admit(principal)
        return session


def check_csrf(session: Session, presented: str | None) -> None:
    """Raise 403 ``csrf-failed`` unless the form carried this session's token."""
    given = (presented or "").encode("utf-8", "surrogatepass")
    if not hmac.compare_digest(session.csrf_token.encode("ascii"), given):
        raise CSRF_FAILED("the form's token is missing or of another session")


def _name(token: str) -> bytes:
    # Only a hash is stored, so that the process's memory or a log reveals no session.
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


def _by_tls(connection: HTTPConnection) -> bool:
    return connection.url.scheme == "https"
