"""Which lanes go: the others go on beside receivers that hang, and nobody waits for ever."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from shared.outbox.message_cursor import BEFORE_ALL, MessageCursor
from shared.subscriptions.delivery_state import Delivery
from shared.subscriptions.lanes import Lane, choose, missing_locations
from shared.subscriptions.subscription_records import Subscription, SubscriptionCursor, SubscriptionState

NOW = 10**15
SECOND = 1_000_000


def subscription(name: str, location_ids: frozenset[str] | None = None) -> Subscription:
    return Subscription(
        subscription_id=name,
        url="https://shop.example/",
        types=None,
        label=None,
        location_ids=location_ids,
        owner="key",
        state=SubscriptionState.ACTIVE,
        created_at=0,
    )


def lane(name: str, place: str = "BEY-01", *, failing: bool = False, **more: object) -> Lane:
    at = SubscriptionCursor(
        subscription_id=name, location_id=place, cursor=BEFORE_ALL, failing_since=NOW if failing else None
    )
    return Lane(subscription(name), msgspec.structs.replace(at, **more), ["whsec_x"])


LANES = st.lists(
    st.tuples(st.sampled_from("abcdef"), st.sampled_from(("BEY-01", "BEY-02", "WH-1")), st.booleans()),
    unique_by=lambda each: each[:2],
).map(lambda found: [lane(name, place, failing=failing) for name, place, failing in found])


@given(LANES, LANES, st.integers(1, 12))
def test_what_is_chosen(due: list[Lane], busy: list[Lane], threads: int) -> None:
    going = {each.key: each.at.failing_since is not None for each in busy[:threads]}
    chosen = choose(due, going, {}, threads)
    keys = [each.key for each in chosen]
    assert len(set(keys)) == len(keys)
    assert not set(keys) & going.keys(), "one at a time for each lane"
    assert len(keys) + len(going) <= threads
    own = [*keys, *going]
    for each in chosen:
        assert sum(key[0] == each.key[0] for key in own) <= max(1, threads // 4)
    failing = [each for each in chosen if each.at.failing_since is not None]
    assert len(failing) <= max(0, max(1, threads // 2) - sum(going.values()))
    if due and not going:
        assert chosen


def test_receivers_that_hang_leave_threads_for_others() -> None:
    hanging = [lane(f"h{number}", failing=True) for number in range(20)]
    chosen = choose(hanging, {}, {}, 8)
    assert len(chosen) == 4
    good = lane("good")
    assert good in choose([*hanging, good], {each.key: True for each in chosen}, {}, 8)
    many = [lane("one", f"P-{number}") for number in range(20)]
    assert len(choose(many, {}, {}, 8)) == 2


def test_the_longest_ago_comes_first() -> None:
    lanes = [lane(name) for name in "abcd"]
    turns: dict[tuple[str, str], int] = {}
    seen: list[str] = []
    for turn in range(1, 9):
        (chosen,) = choose(lanes, {}, turns, 1)
        turns[chosen.key] = turn
        seen.append(chosen.key[0])
    assert seen == list("abcdabcd")


def test_when_a_lane_is_due() -> None:
    end = MessageCursor(1, 5, 0)
    assert lane("a").due_at(BEFORE_ALL, end, NOW) == 0
    assert lane("a").due_at(end, end, NOW) is None
    failing = lane("a", failing=True, next_try_at=NOW + SECOND)
    assert failing.due_at(BEFORE_ALL, end, NOW) == NOW + SECOND
    assert lane("a", claimed_until=NOW + SECOND).due_at(BEFORE_ALL, end, NOW) == NOW + SECOND


def test_a_clock_that_was_ahead_keeps_nobody_waiting() -> None:
    failing = lane("a", failing=True, next_try_at=NOW + 365 * 86_400 * SECOND)
    assert failing.due_at(BEFORE_ALL, MessageCursor(1, 5, 0), NOW) == 0


def test_a_message_behind_the_cursor_is_sent_again_beside_the_others() -> None:
    cursor = MessageCursor(1, 9, 0)
    behind = Delivery(message_id="m", type="t", cursor=MessageCursor(1, 3, 0), next_try_at=NOW)
    ahead = Delivery(message_id="n", type="t", cursor=MessageCursor(1, 10, 0), next_try_at=NOW)
    plain = lane("a", cursor=cursor, failing=True, next_try_at=NOW + SECOND)
    both = Lane(plain.subscription, plain.at, plain.secrets, [behind, ahead])
    assert both.resending(NOW) == behind
    assert both.resending(NOW - 1) is None
    assert both.due_at(cursor, MessageCursor(1, 20, 0), NOW) == NOW
    assert both.due_at(cursor, cursor, NOW) == NOW


def test_locations_that_are_new() -> None:
    active = [subscription("all"), subscription("one", frozenset({"BEY-01"})), subscription("none yet")]
    lanes = [lane("all", "BEY-01"), lane("one", "BEY-01")]
    assert missing_locations(active, lanes, ["BEY-01", "BEY-02"]) == {
        "all": {"BEY-02"},
        "none yet": {"BEY-01", "BEY-02"},
    }
