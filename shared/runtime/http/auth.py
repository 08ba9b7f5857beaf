"""API keys, and the authentication of requests.

A key is ``lk_<key_id>_<43 characters>``; a service stores only the SHA-256 of the whole text. Services provide a
``KeyStore``; ``Authenticator`` caches what it looked up for two seconds, so a hot route costs one hash.
"""

from __future__ import annotations

import hashlib
import hmac
import math
import re
import secrets
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Final, Protocol

from anyio import CapacityLimiter, to_thread
from starlette.requests import HTTPConnection, Request

from shared.runtime.clock import Clock
from shared.runtime.http.key_rotation import EarlierText
from shared.runtime.http.rate_limits import RateLimiter
from shared.runtime.http.scopes import SCOPES_OF, Role, Scope, ScopeRequirement, in_words
from shared.runtime.problems import (
    FORBIDDEN,
    TOO_MANY_ATTEMPTS,
    TOO_MANY_REQUESTS,
    UNAUTHENTICATED,
    WRONG_LOCATION,
    Problem,
)

_KEY: Final = re.compile(r"lk_([a-z0-9]{8,32})_([A-Za-z0-9_-]{43})", re.ASCII)
_NO_DIGEST: Final = "0" * 64
_BEARER: Final = {"WWW-Authenticate": 'Bearer realm="larder"'}


@dataclass(frozen=True, slots=True)
class Principal:
    """The key behind a request. ``location_id`` is the only location it is for, None for a key of the whole group;
    ``added`` are its scopes beyond those of its role."""

    key_id: str
    role: Role
    location_id: str | None = None
    added: frozenset[Scope] = frozenset()

    def check_location(self, location_id: str) -> None:
        """Raise 403 ``wrong-location`` when this key belongs to another location."""
        if self.location_id is not None and self.location_id != location_id:
            raise WRONG_LOCATION(f"the key {self.key_id} is for {self.location_id}, not for {location_id}")

    def may(self, *scopes: Scope) -> bool:
        """Whether this key has one of these scopes."""
        return not (SCOPES_OF[self.role].isdisjoint(scopes) and self.added.isdisjoint(scopes))

    def check_scope(self, *scopes: Scope) -> None:
        """Raise 403 ``forbidden``, which names the key and the scopes, when it has none of these."""
        if not self.may(*scopes):
            raise FORBIDDEN(
                f"the key {self.key_id} has the role {self.role}; this takes the scope {in_words(scopes)}",
                key_id=self.key_id,
                scopes=[scope.value for scope in scopes],
            )


@dataclass(frozen=True, slots=True)
class StoredKey:
    """A key as a service stores it: ``digest`` is the lower-case hex SHA-256 of its whole text, ``added`` its scopes
    beyond those of its role, ``earlier`` its texts before rotations."""

    key_id: str
    digest: str
    role: Role
    location_id: str | None = None
    revoked: bool = False
    added: frozenset[Scope] = frozenset()
    earlier: tuple[EarlierText, ...] = ()

    def has(self, digest: str, now: int) -> bool:
        """Whether a text of this digest is the key's at a moment. Takes the same time whatever the digests are."""
        same = hmac.compare_digest(digest, self.digest)
        for each in self.earlier:
            same |= hmac.compare_digest(digest, each.digest) and now < each.good_until
        return same


_NOBODY: Final = StoredKey("", _NO_DIGEST, Role.VIEWER, revoked=True)


class KeyStore(Protocol):
    """The keys of a service. ``lookup`` may use the database: it is called in a thread."""

    def lookup(self, key_id: str) -> StoredKey | None: ...


@dataclass(frozen=True, slots=True)
class NewKey:
    """A newly made key. ``text`` is shown once and stored nowhere."""

    key_id: str
    text: str
    digest: str


def generate_key(key_id: str | None = None) -> NewKey:
    """A new key of 256 random bits, its id of 48; or a new text of the key with this id."""
    key_id = key_id or secrets.token_hex(6)
    text = f"lk_{key_id}_{secrets.token_urlsafe(32)}"
    return NewKey(key_id, text, digest_of(text))


def digest_of(text: str) -> str:
    """Lower-case hex SHA-256 of a key's whole text."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def key_id_of(text: str) -> str | None:
    """The id within a key's text, or None where it is no key."""
    match = _KEY.fullmatch(text)
    return None if match is None else match[1]


LOOKUPS: Final = 4  # threads that look up keys at the same time


class Authenticator:
    """Authenticates keys for one service.

    A valid key is cached for ``remember`` seconds (at most ``remembered`` keys), so a revocation takes effect within
    that time everywhere and at once after ``invalidate``. A wrong key after more than ``attempts`` of them in a minute
    from one address is answered 429; a good one passes, whoever else calls from there. Keys are looked up in a few
    threads of their own, those that were valid before in others than those that were not: neither wrong keys nor slow
    look-ups hold up requests with known ones. ``limiter`` bounds the requests of each key.
    """

    def __init__(
        self,
        store: KeyStore,
        clock: Clock,
        *,
        remember: float = 2.0,
        remembered: int = 1_000,
        attempts: int = 30,
        known: Callable[[str], bool] = lambda _key_id: False,
        limiter: RateLimiter | None = None,
    ) -> None:
        self._known = known
        self._limiter = limiter
        self._used: dict[str, float] = {}
        self._store = store
        self._clock = clock
        self._remember = remember
        self._remembered = remembered
        self._cache: OrderedDict[str, tuple[Principal, float]] = OrderedDict()
        self._failures = _FailedAttempts(attempts)
        self._unknown = CapacityLimiter(LOOKUPS)
        self._expired = CapacityLimiter(LOOKUPS)
        self._lock = Lock()

    def cached(self, text: str) -> Principal | None:
        """The principal of a key in the cache, else None; uses no database."""
        found = self._cache.get(digest_of(text))
        return found[0] if found is not None and found[1] > self._clock.monotonic() else None

    def authenticate(self, text: str, address: str = "") -> Principal:
        """The principal of a key's text presented from an address. Raises 401 ``unauthenticated`` or 429."""
        return self.authenticate_digest(key_id_of(text), digest_of(text), address)

    def authenticate_digest(self, key_id: str | None, digest: str, address: str = "") -> Principal:
        """As ``authenticate``, for callers that stored a key's digest only (page sessions)."""
        now = self._clock.monotonic()
        found = self._cache.get(digest)
        if found is not None and found[1] > now:
            return found[0]
        wait = self._failures.wait(address, now)
        stored = self._store.lookup(key_id) if key_id is not None else None
        # Compared even where nothing was found, so that the time taken is the same.
        same = (stored or _NOBODY).has(digest, self._clock.now())
        if stored is None or not same or stored.revoked:
            self._failures.add(address, now)
            self._cache.pop(digest, None)
            if wait:
                raise TOO_MANY_ATTEMPTS(
                    "too many failed attempts from this address", headers={"Retry-After": str(wait)}, retry_after=wait
                )
            raise unauthenticated("the key is unknown or was revoked")
        principal = Principal(stored.key_id, Role(stored.role), stored.location_id, stored.added)
        with self._lock:
            self._cache[digest] = (principal, now + self._remember)
            self._cache.move_to_end(digest)
            while len(self._cache) > self._remembered:
                self._cache.popitem(last=False)
        return principal

    def admit(self, principal: Principal) -> Principal:
        """The same principal, whose request is counted. Raises 429 ``too-many-requests`` beyond its key's rate."""
        self._count(principal.key_id, self._use(principal), "the key")
        return principal

    def count_signed(self, sender: str) -> None:
        """Count a request that was signed with the secret of a sender, which is its key. Raises 429 as `admit` does."""
        self._count(f"signed/{sender}", self._clock.monotonic(), "what is signed by")

    def _count(self, key_id: str, now: float, caller: str) -> None:
        if self._limiter is not None and (wait := self._limiter.wait(key_id, now)):
            seconds = math.ceil(wait)
            raise TOO_MANY_REQUESTS(
                f"{caller} {key_id.removeprefix('signed/')} makes more requests than it may",
                headers={"Retry-After": str(seconds)},
                retry_after=seconds,
            )

    def _use(self, principal: Principal) -> float:
        """Remember that a key is used now; the moment by the monotonic clock."""
        now = self._used[principal.key_id] = self._clock.monotonic()
        return now

    def take_uses(self) -> dict[str, int]:
        """When each key was last used (microseconds UTC), of those that were used since this was called before."""
        used, self._used = self._used, {}
        now, monotonic = self._clock.now(), self._clock.monotonic()
        return {key_id: now - int((monotonic - at) * 1_000_000) for key_id, at in list(used.items())}

    def invalidate(self) -> None:
        """Look every key up again: the keys changed."""
        with self._lock:
            for digest in list(self._cache):
                self._cache[digest] = (self._cache[digest][0], 0.0)

    async def principal(self, connection: HTTPConnection) -> Principal:
        """The principal of a request, by its Authorization header, admitted. Raises 401 and 429."""
        text = bearer_key(connection.headers.getlist("authorization"))
        return await self.admitted(text, address_of(connection))

    async def admitted(self, text: str, address: str) -> Principal:
        """The principal of a request with this key, admitted. Keys not in the cache are looked up in a thread."""
        known = self.cached(text)
        return self.admit(await self.look_up(text, address) if known is None else known)

    async def again(self, connection: HTTPConnection) -> Principal:
        """The principal of a request that goes on, which was counted when it began. Raises 401 once it is revoked."""
        text = bearer_key(connection.headers.getlist("authorization"))
        known = self.cached(text)
        principal = await self.look_up(text, address_of(connection)) if known is None else known
        self._use(principal)
        return principal

    async def look_up(self, text: str, address: str) -> Principal:
        """``authenticate`` in a thread, for routes on the event loop."""
        key_id = key_id_of(text)
        at_once = digest_of(text) in self._cache or (key_id is not None and self._known(key_id))
        limiter = self._expired if at_once else self._unknown
        return await to_thread.run_sync(self.authenticate, text, address, limiter=limiter)

    def require(self, *scopes: Scope, location_id: str | None = None) -> ScopeCheck:
        """What a route requires: a key with one of these scopes; at a location's node one that counts there."""
        return ScopeCheck(self, *scopes, location_id=location_id)


class ScopeCheck(ScopeRequirement):
    """A requirement of routes that are called with a key."""

    def __init__(self, authenticator: Authenticator, *scopes: Scope, location_id: str | None = None) -> None:
        super().__init__(*scopes)
        self._authenticator = authenticator
        self._location_id = location_id

    async def principal(self, request: Request) -> Principal:
        """A FastAPI dependency: the Principal of the request. Raises 401, 403 or 429."""
        return self.check(await self._authenticator.principal(request))

    async def recheck(self, request: Request) -> Principal:
        """As ``principal``, of a request that goes on: its key's rate has no part in it. Raises 401 or 403."""
        return self.check(await self._authenticator.again(request))

    def check(self, principal: Principal) -> Principal:
        """The same principal. Raises 403 ``forbidden`` or ``wrong-location``."""
        principal.check_scope(*self.scopes)
        if self._location_id is not None:
            principal.check_location(self._location_id)
        return principal


def bearer_key(headers: Sequence[str]) -> str:
    """The key in the request's Authorization headers. Raises 401 where there is none, or more than one."""
    if len(headers) > 1:
        # Servers and proxies differ in which of two they take.
        raise unauthenticated("the Authorization header stands twice in the request")
    scheme, _, text = headers[0].partition(" ") if headers else ("", "", "")
    text = text.strip()
    if scheme.lower() != "bearer" or not text:
        raise unauthenticated("there is no 'Authorization: Bearer ...' header")
    return text


def unauthenticated(detail: str) -> Problem:
    """401 with the header that a 401 must carry."""
    return UNAUTHENTICATED(detail, headers=_BEARER)


def address_of(connection: HTTPConnection) -> str:
    """The client's IP address; empty where the server does not know it."""
    return connection.client.host if connection.client is not None else ""


class _FailedAttempts:
    """Failed attempts by address in windows of a minute, for the latest 4,096 addresses."""

    WINDOW = 60.0
    ADDRESSES = 4_096

    def __init__(self, allowed: int) -> None:
        self._allowed = allowed
        self._by_address: OrderedDict[str, tuple[int, float]] = OrderedDict()
        self._lock = Lock()

    def wait(self, address: str, now: float) -> int:
        """Seconds until this address may try again; 0 if it may now."""
        count, until = self._by_address.get(address, (0, 0.0))
        return 0 if count < self._allowed or now >= until else int(until - now) + 1

    def add(self, address: str, now: float) -> None:
        with self._lock:
            count, until = self._by_address.pop(address, (0, 0.0))
            self._by_address[address] = (count + 1, until) if now < until else (1, now + self.WINDOW)
            while len(self._by_address) > self.ADDRESSES:
                self._by_address.popitem(last=False)
