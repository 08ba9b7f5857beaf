"""Keys: who is let in, who is not, and what is remembered for how long."""

import asyncio
import dataclasses
import threading

import pytest
from anyio import create_task_group, fail_after, run, sleep, to_thread
from starlette.requests import Request

from shared.runtime.http.auth import (
    Authenticator,
    NewKey,
    Principal,
    StoredKey,
    digest_of,
    generate_key,
    key_id_of,
)
from shared.runtime.http.key_rotation import EarlierText
from shared.runtime.http.rate_limits import RateLimiter
from shared.runtime.http.scopes import Role, Scope
from shared.runtime.problems import Problem


class Keys:
    """A key store in memory that counts what it is asked."""

    def __init__(self) -> None:
        self.kept: dict[str, StoredKey] = {}
        self.asked = 0

    def lookup(self, key_id: str) -> StoredKey | None:
        self.asked += 1
        return self.kept.get(key_id)

    def add(self, role: Role = Role.STAFF, location_id: str | None = None, *, revoked: bool = False) -> NewKey:
        made = generate_key()
        self.kept[made.key_id] = StoredKey(made.key_id, made.digest, role, location_id, revoked)
        return made


class Seconds:
    def __init__(self) -> None:
        self.now_seconds = 0.0

    def now(self) -> int:
        return int(self.now_seconds * 1_000_000)

    def monotonic(self) -> float:
        return self.now_seconds


@pytest.fixture
def keys() -> Keys:
    return Keys()


@pytest.fixture
def clock() -> Seconds:
    return Seconds()


@pytest.fixture
def authenticator(keys: Keys, clock: Seconds) -> Authenticator:
    return Authenticator(keys, clock, remember=2.0, remembered=3, attempts=5)


def refusal(authenticator: Authenticator, text: str, address: str = "10.0.0.1") -> Problem:
    with pytest.raises(Problem) as caught:
        authenticator.authenticate(text, address)
    return caught.value


def test_a_key_says_its_id_and_is_kept_as_a_hash() -> None:
    made = generate_key()
    assert made.text == f"lk_{made.key_id}_{made.text[-43:]}"
    assert key_id_of(made.text) == made.key_id
    assert made.digest == digest_of(made.text)
    assert len(made.digest) == 64
    assert len({generate_key().text for _ in range(100)}) == 100


@pytest.mark.parametrize(
    "text", ["", "lk_", "lk_abcdefabcdef_short", "xx_abcdefabcdef_" + "a" * 43, "lk_abcdefabcdef_" + "é" * 43]
)
def test_what_is_no_key(text: str) -> None:
    assert key_id_of(text) is None


def test_a_good_key(authenticator: Authenticator, keys: Keys) -> None:
    key = keys.add(Role.BRANCH, "BEY-01")
    assert authenticator.authenticate(key.text) == Principal(key.key_id, Role.BRANCH, "BEY-01")


def test_wrong_revoked_and_unknown_keys_are_all_the_same_401(authenticator: Authenticator, keys: Keys) -> None:
    key, revoked = keys.add(), keys.add(revoked=True)
    wrong = key.text[:-1] + ("A" if key.text[-1] != "A" else "B")
    problems = [refusal(authenticator, text) for text in (wrong, revoked.text, generate_key().text, "lk_x", "\ud800")]
    assert {(found.status, found.code, found.detail) for found in problems} == {
        (401, "unauthenticated", "the key is unknown or was revoked")
    }
    assert problems[0].headers["WWW-Authenticate"].startswith("Bearer")


def test_after_a_rotation_both_texts_are_good_until_the_overlap_ends(
    authenticator: Authenticator, keys: Keys, clock: Seconds
) -> None:
    old, other = keys.add(Role.STAFF), keys.add()
    new = generate_key(old.key_id)
    assert (new.key_id, key_id_of(new.text)) == (old.key_id, old.key_id)
    stored = StoredKey(new.key_id, new.digest, Role.STAFF, earlier=(EarlierText(old.digest, 60_000_000),))
    keys.kept[old.key_id] = stored
    assert [authenticator.authenticate(each.text).key_id for each in (old, new)] == [old.key_id] * 2
    assert not stored.has(other.digest, 0)
    clock.now_seconds = 60.0
    assert authenticator.authenticate(new.text).key_id == old.key_id
    assert refusal(authenticator, old.text).status == 401
    keys.kept[old.key_id] = dataclasses.replace(stored, revoked=True)
    clock.now_seconds = 62.0
    assert refusal(authenticator, new.text).status == 401


def test_a_key_without_a_previous_text_has_no_other() -> None:
    key = StoredKey("k", "a" * 64, Role.STAFF)
    assert [key.has(digest, 0) for digest in ("a" * 64, "0" * 64)] == [True, False]


def test_when_keys_were_last_used_is_told_once(authenticator: Authenticator, keys: Keys, clock: Seconds) -> None:
    first, second = (authenticator.authenticate(keys.add().text) for _ in range(2))
    clock.now_seconds = 10.0
    authenticator.admit(first)
    clock.now_seconds = 11.0
    authenticator.admit(second)
    clock.now_seconds = 40.0
    assert authenticator.take_uses() == {first.key_id: 10_000_000, second.key_id: 11_000_000}
    assert authenticator.take_uses() == {}


def test_a_key_beyond_its_rate(keys: Keys, clock: Seconds) -> None:
    authenticator = Authenticator(keys, clock, limiter=RateLimiter(0.5, 2, exempt={"local"}))
    first, second = (authenticator.authenticate(keys.add().text) for _ in range(2))
    for _ in range(2):
        assert authenticator.admit(first) is first
    with pytest.raises(Problem) as caught:
        authenticator.admit(first)
    problem = caught.value
    assert (problem.status, problem.code, problem.recorded) == (429, "too-many-requests", "no")
    assert problem.headers["Retry-After"] == "2"
    authenticator.admit(second)
    clock.now_seconds = 2.0
    authenticator.admit(first)


def test_a_request_that_goes_on_is_not_counted_again(keys: Keys, clock: Seconds) -> None:
    key = keys.add()
    authenticator = Authenticator(keys, clock, limiter=RateLimiter(0.5, 2))
    check = authenticator.require(Scope.READ)
    headers = [(b"authorization", f"Bearer {key.text}".encode())]
    request = Request({"type": "http", "headers": headers, "client": None})
    for _ in range(2):
        asyncio.run(check.principal(request))
    with pytest.raises(Problem) as caught:
        asyncio.run(check.principal(request))
    assert caught.value.code == "too-many-requests"
    # A stream asks every few seconds whether its key is still good; other requests of the key do not end it.
    clock.now_seconds = 1.0
    assert asyncio.run(check.recheck(request)).key_id == key.key_id
    assert authenticator.take_uses() == {key.key_id: 1_000_000}
    keys.kept.clear()
    authenticator.invalidate()
    with pytest.raises(Problem) as caught:
        asyncio.run(check.recheck(request))
    assert caught.value.code == "unauthenticated"


def test_a_good_key_is_looked_up_once_in_its_time_and_no_longer(
    authenticator: Authenticator, keys: Keys, clock: Seconds
) -> None:
    key = keys.add()
    for _ in range(5):
        authenticator.authenticate(key.text)
    assert keys.asked == 1
    keys.kept.clear()
    clock.now_seconds = 1.9
    assert authenticator.cached(key.text) is not None
    clock.now_seconds = 2.0
    assert authenticator.cached(key.text) is None
    assert refusal(authenticator, key.text).code == "unauthenticated"


def test_invalidate_acts_at_once(authenticator: Authenticator, keys: Keys) -> None:
    key = keys.add()
    authenticator.authenticate(key.text)
    keys.kept.clear()
    authenticator.invalidate()
    assert refusal(authenticator, key.text).status == 401


def test_what_is_remembered_is_bounded(authenticator: Authenticator, keys: Keys) -> None:
    made = [keys.add() for _ in range(5)]
    for key in made:
        authenticator.authenticate(key.text)
    assert [authenticator.cached(key.text) is not None for key in made] == [False, False, True, True, True]


def test_wrong_keys_are_throttled_by_address_and_good_ones_pass(
    authenticator: Authenticator, keys: Keys, clock: Seconds
) -> None:
    known, fresh = keys.add(), keys.add()
    authenticator.authenticate(known.text, "10.0.0.1")
    for _ in range(5):
        assert refusal(authenticator, generate_key().text).status == 401
    problem = refusal(authenticator, generate_key().text)
    assert (problem.status, problem.code) == (429, "too-many-attempts")
    assert problem.headers["Retry-After"] == "61"
    assert authenticator.authenticate(fresh.text).key_id == fresh.key_id, "it was never used before"
    authenticator.invalidate()
    for key in (known, fresh):
        assert authenticator.authenticate(key.text).key_id == key.key_id
    asked = keys.asked
    assert refusal(authenticator, "lk_no key at all").status == 429
    assert keys.asked == asked, "what cannot be a key is not looked up"
    clock.now_seconds = 30.0
    assert authenticator.authenticate(known.text, "10.0.0.1").key_id == known.key_id
    assert authenticator.authenticate(fresh.text, "10.0.0.2").key_id == fresh.key_id
    clock.now_seconds = 60.0
    assert refusal(authenticator, generate_key().text).status == 401


def test_the_addresses_kept_are_bounded(authenticator: Authenticator) -> None:
    for number in range(5_000):
        refusal(authenticator, "lk_x", f"10.0.{number // 256}.{number % 256}")
    assert len(authenticator._failures._by_address) <= 4_096


def test_scopes_and_locations() -> None:
    branch = Principal("k", Role.BRANCH, "BEY-01")
    branch.check_location("BEY-01")
    branch.check_scope(Scope.SYNC, Scope.ADMINISTER)
    Principal("k", Role.ADMIN).check_location("anywhere")
    with pytest.raises(Problem) as caught:
        branch.check_location("BEY-02")
    assert (caught.value.status, caught.value.code) == (403, "wrong-location")
    with pytest.raises(Problem) as caught:
        branch.check_scope(Scope.READ, Scope.TRANSFER)
    assert (caught.value.status, caught.value.code) == (403, "forbidden")
    assert caught.value.extras == {"key_id": "k", "scopes": ["read", "transfer"]}


def test_a_scope_that_a_key_was_given_beyond_its_role() -> None:
    plain, given = Principal("k", Role.INTEGRATION), Principal("k", Role.INTEGRATION, None, frozenset({Scope.RESTOCK}))
    assert [each.may(Scope.RESTOCK) for each in (plain, given)] == [False, True]
    assert given.may(Scope.SELL)
    assert not given.may(Scope.CORRECT, Scope.RECORD)


def test_a_slow_look_up_of_unknown_keys_holds_up_no_key_that_was_valid(keys: Keys, clock: Seconds) -> None:
    known = keys.add()
    hanging, release = threading.Event(), threading.Event()
    lookup = keys.lookup

    def slow(key_id: str) -> StoredKey | None:
        if key_id != known.key_id:
            hanging.set()
            assert release.wait(20)
        return lookup(key_id)

    keys.lookup = slow  # type: ignore[method-assign]
    authenticator = Authenticator(keys, clock)

    async def calls() -> None:
        await authenticator.look_up(known.text, "10.0.0.1")
        clock.now_seconds = 10.0
        async with create_task_group() as group:
            for _ in range(50):
                group.start_soon(rejected)
            while not hanging.is_set():
                await sleep(0.001)
            with fail_after(10):
                await authenticator.look_up(known.text, "10.0.0.1")
                assert await to_thread.run_sync(lambda: "a route's thread") == "a route's thread"
            release.set()

    async def rejected() -> None:
        with pytest.raises(Problem):
            await authenticator.look_up(generate_key().text, "10.0.0.2")

    run(calls)


@pytest.mark.parametrize(
    ("header", "status"),
    [
        (None, 401),
        ("", 401),
        ("Bearer", 401),
        ("Basic {key}", 401),
        ("{key}", 401),
        ("Bearer {key}", 200),
        ("bearer  {key}", 200),
    ],
)
def test_the_header(authenticator: Authenticator, keys: Keys, header: str | None, status: int) -> None:
    key = keys.add()
    headers = [] if header is None else [(b"authorization", header.format(key=key.text).encode())]
    request = Request({"type": "http", "headers": headers, "client": ("10.0.0.1", 5)})
    dependency = authenticator.require(Scope.RECORD).principal
    if status == 200:
        assert asyncio.run(dependency(request)).key_id == key.key_id
        with pytest.raises(Problem) as caught:
            asyncio.run(authenticator.require(Scope.KEYS).principal(request))
        assert caught.value.status == 403
    else:
        with pytest.raises(Problem) as caught:
            asyncio.run(dependency(request))
        assert caught.value.status == status
