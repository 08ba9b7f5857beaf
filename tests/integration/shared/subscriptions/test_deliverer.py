"""A deliverer on a clock that is turned by hand: order, back-off, the dead, replays, crashes, several processes."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from shared.outbox.message_cursor import BEFORE_ALL, MessageCursor
from shared.outbox.message_source import OutboxMessage
from shared.runtime.problems import DATABASE_UNAVAILABLE
from shared.runtime.webhooks.webhook_poster import AttemptOutcome, WebhookAttempt
from shared.subscriptions.delivery_notes import DELIVERED_KEPT
from shared.subscriptions.delivery_state import DeliveryState
from shared.subscriptions.subscription_changes import rotation_plan
from shared.subscriptions.subscription_records import SubscriptionState
from tests.support.delivery_rig import EVERYBODY, GONE, GOOD, REFUSED, SECRET, SILENT, DeliveryRig
from tests.support.listed_messages import ADDED, REMOVED, TABLES

PLACE = "BEY-01"
HOUR = 3_600
HOURLY = WebhookAttempt(AttemptOutcome.REFUSED, 500, "answered 500", 3_600.0)
"""A refusal that asks to try again in an hour: 72 hours in few attempts."""
DAY = 24 * HOUR


def publish(rig: DeliveryRig, count: int, place: str = PLACE) -> list[OutboxMessage]:
    return [message for _ in range(count) for message in rig.messages.add(place, ADDED)]


def ids(messages: list[OutboxMessage]) -> list[str]:
    return [each.id for each in messages]


def test_messages_go_in_order_and_the_cursor_with_them(rig: DeliveryRig) -> None:
    publish(rig, 3)
    rig.subscribe()
    rig.run()
    assert rig.posts == [], "it began at the end"
    sent = [*publish(rig, 120), *rig.messages.add(PLACE, ADDED, REMOVED)]
    rig.run()
    assert rig.sent() == ids(sent)
    assert [body for _, _, body, _ in rig.posts] == [each.body for each in sent]
    assert rig.cursor().cursor == sent[-1].cursor
    assert [each.state for each in rig.deliveries()] == [DeliveryState.DELIVERED] * 122
    rig.run()
    assert len(rig.posts) == 122


def test_only_the_types_that_are_wanted_and_the_cursor_passes_over_the_others(rig: DeliveryRig) -> None:
    rig.subscribe(types=frozenset({REMOVED}))
    for _ in range(100):
        rig.messages.add(PLACE, ADDED)
    wanted = rig.messages.add(PLACE, ADDED, REMOVED)[1:]
    rig.messages.add(PLACE, ADDED)
    rig.messages.add(PLACE)
    rig.run()
    assert rig.sent() == ids(wanted)
    assert rig.cursor().cursor == rig.messages.end(PLACE)
    # One that publishes nothing of interest for a while is stored now and then.
    rig.messages.add(PLACE, ADDED)
    rig.run()
    rig.messages.add(PLACE, ADDED)
    rig.run_for(20)
    assert rig.cursor().cursor == rig.messages.end(PLACE)


def test_a_receiver_that_is_down_for_a_day_then_gets_all_in_order(rig: DeliveryRig) -> None:
    rig.subscribe()
    rig.answer = lambda *_: SILENT
    expected: list[OutboxMessage] = []
    began = rig.clock.now()
    for _ in range(24):
        expected += publish(rig, 5)
        rig.run_for(HOUR)
    assert set(rig.sent()) == {expected[0].id}
    # 300 s apart, give or take a fifth.
    assert DAY / 360 - 10 < len(rig.posts) < DAY / 240 + 20
    failing = rig.cursor()
    assert failing.failing_since is not None
    assert failing.failing_since - began < 10_000_000
    assert failing.error == "no answer within 15 s"
    (waiting,) = rig.deliveries()
    assert waiting.state is DeliveryState.RETRYING
    rig.posts.clear()
    rig.answer = lambda *_: GOOD
    rig.run_for(400)
    assert rig.sent() == ids(expected)
    healed = rig.cursor()
    assert (healed.failing_since, healed.next_try_at, healed.error) == (None, None, None)


def test_what_is_refused_for_72_hours_is_dead_and_the_next_goes(rig: DeliveryRig) -> None:
    rig.subscribe()
    bad, *good = publish(rig, 4)
    rig.answer = lambda _url, message_id: HOURLY if message_id == bad.id else GOOD
    rig.run_for(71 * HOUR)
    assert set(rig.sent()) == {bad.id}
    rig.run_for(2 * HOUR)
    assert [each for each in rig.sent() if each != bad.id] == ids(good)
    (dead,) = rig.deliveries(state=DeliveryState.DEAD)
    assert (dead.message_id, dead.status, dead.error) == (bad.id, 500, "answered 500")
    assert rig.cursor().failing_since is None
    tries = len(rig.posts)
    rig.run_for(DAY)
    assert len(rig.posts) == tries
    # A dead one is sent again by its id, beside those that go in order.
    rig.answer = lambda *_: GOOD
    later = publish(rig, 2)
    rig.resend(bad.id)
    rig.run()
    assert sorted(rig.sent()[tries:]) == sorted([bad.id, *ids(later)])
    assert rig.deliveries(state=DeliveryState.DEAD) == []
    assert rig.cursor().cursor == later[-1].cursor


def test_a_dead_one_that_is_refused_again_holds_up_nobody(rig: DeliveryRig) -> None:
    rig.subscribe()
    bad, second = publish(rig, 2)
    rig.answer = lambda _url, message_id: HOURLY if message_id == bad.id else GOOD
    rig.run_for(74 * HOUR)
    rig.resend(bad.id)
    later = publish(rig, 3)
    rig.run()
    assert set(ids(later)) <= set(rig.sent())
    rig.run_for(74 * HOUR)
    (dead,) = rig.deliveries(state=DeliveryState.DEAD)
    assert dead.message_id == bad.id
    assert [each.message_id for each in rig.deliveries(state=DeliveryState.DELIVERED)] == ids([second, *later])[::-1]


def test_dead_after_dead(rig: DeliveryRig) -> None:
    rig.subscribe()
    messages = publish(rig, 3)
    rig.answer = lambda *_: HOURLY
    rig.run_for(3 * 73 * HOUR)
    assert [each.message_id for each in rig.deliveries(state=DeliveryState.DEAD)] == ids(messages)[::-1]
    failing = rig.cursor()
    assert failing.failing_since is not None
    assert failing.next_try_at is None


def test_gone_disables_until_somebody_resumes(rig: DeliveryRig) -> None:
    rig.subscribe()
    messages = publish(rig, 2)
    rig.answer = lambda *_: GONE
    rig.run_for(HOUR)
    assert rig.sent() == [messages[0].id]
    assert rig.subscription().state is SubscriptionState.DISABLED
    (kept,) = rig.deliveries()
    assert (kept.state, kept.status) == (DeliveryState.RETRYING, 410)
    rig.answer = lambda *_: GOOD
    rig.change(state=SubscriptionState.ACTIVE.value)
    rig.run()
    assert rig.sent() == ids([messages[0], *messages])


def test_paused_and_resumed(rig: DeliveryRig) -> None:
    rig.subscribe()
    rig.change(state=SubscriptionState.PAUSED.value)
    messages = publish(rig, 3)
    rig.run_for(DAY)
    assert rig.posts == []
    rig.change(state=SubscriptionState.ACTIVE.value)
    rig.run()
    assert rig.sent() == ids(messages)


def test_retry_after_is_waited_for(rig: DeliveryRig) -> None:
    rig.subscribe()
    publish(rig, 1)
    rig.answer = lambda *_: WebhookAttempt(AttemptOutcome.AWAY, 429, "answered 429", 1_000.0)
    rig.run_for(999)
    assert len(rig.posts) == 1
    rig.run_for(2)
    assert len(rig.posts) == 2


def test_a_new_address_is_tried_at_once(rig: DeliveryRig) -> None:
    rig.subscribe()
    (message,) = publish(rig, 1)
    rig.answer = lambda url, _message_id: GOOD if "new" in url else SILENT
    rig.run_for(HOUR)
    rig.change(url="https://new.example/")
    rig.run()
    assert rig.posts[-1][:2] == ("https://new.example/", message.id)
    assert rig.cursor().failing_since is None


def test_other_types_drop_the_message_that_is_being_tried(rig: DeliveryRig) -> None:
    rig.subscribe()
    rig.messages.add(PLACE, ADDED)
    (wanted,) = rig.messages.add(PLACE, REMOVED)
    rig.answer = lambda _url, message_id: GOOD if message_id == wanted.id else REFUSED
    rig.run_for(60)
    rig.change(types=frozenset({REMOVED}))
    rig.run()
    assert [each.message_id for each in rig.deliveries()] == [wanted.id]
    assert rig.cursor().cursor == wanted.cursor


def test_replay_from_a_cursor_sends_again_what_comes_after_it(rig: DeliveryRig) -> None:
    rig.subscribe()
    messages = publish(rig, 6)
    rig.run()
    rig.replay(messages[2].cursor)
    rig.run()
    assert rig.sent() == ids([*messages, *messages[3:]])
    rig.replay(BEFORE_ALL)
    rig.run()
    assert rig.sent()[9:] == ids(messages)
    assert len(rig.deliveries()) == 6
    # Forward as well: what is between is not sent, nor is what was being tried.
    rig.answer = lambda *_: SILENT
    publish(rig, 3)
    rig.run()
    rig.replay(rig.messages.end(PLACE))
    rig.posts.clear()
    rig.answer = lambda *_: GOOD
    rig.run_for(HOUR)
    assert rig.posts == []
    assert rig.cursor().failing_since is None


def test_replay_of_one_message_by_its_id(rig: DeliveryRig) -> None:
    rig.subscribe()
    messages = [*publish(rig, 2), *rig.messages.add(PLACE, ADDED, REMOVED), *publish(rig, 2)]
    rig.run()
    for each in messages:
        rig.posts.clear()
        rig.resend(each.id)
        rig.run()
        assert rig.sent() == [each.id]
        assert rig.posts[0][2] == each.body
    assert rig.cursor().cursor == messages[-1].cursor


def test_a_message_that_the_log_lost_is_given_up(rig: DeliveryRig) -> None:
    rig.subscribe()
    first, _ = publish(rig, 2)
    rig.run()
    rig.resend(first.id)
    rig.messages.by_location[PLACE].pop(0)
    rig.run()
    (dead,) = rig.deliveries(state=DeliveryState.DEAD)
    assert (dead.message_id, dead.error) == (first.id, "the log has this message no more")


def test_a_crash_between_sending_and_noting_sends_again_under_the_same_ids(rig: DeliveryRig) -> None:
    rig.subscribe()
    messages = publish(rig, 3)

    class Killed(BaseException):
        pass

    def crash() -> None:
        raise Killed

    rig.database.before_commit = crash
    with pytest.raises(Killed):
        rig.deliverer.step()
    assert rig.cursor().cursor == BEFORE_ALL
    assert rig.deliveries() == []
    rig.deliverer = rig.new_deliverer()
    rig.run()
    assert rig.sent() == ids([*messages, *messages])
    assert rig.cursor().cursor == messages[-1].cursor


def test_a_database_that_is_away_for_a_moment(rig: DeliveryRig) -> None:
    rig.subscribe()
    messages = publish(rig, 2)

    def fail() -> None:
        raise DATABASE_UNAVAILABLE("gone for a moment")

    rig.database.before_commit = fail
    rig.run()
    assert rig.sent() == ids(messages)
    rig.run_for(2)
    assert rig.sent() == ids([*messages, *messages])
    rig.run_for(HOUR)
    assert len(rig.posts) == 4


def test_what_was_done_for_a_cursor_that_was_moved_meanwhile_is_not_noted(small: DeliveryRig) -> None:
    """A replay that comes while a message is on its way stands."""
    rig = small
    rig.subscribe()
    messages = publish(rig, 3)
    rig.run()
    (fourth,) = publish(rig, 1)

    def replayed(_url: str, message_id: str) -> WebhookAttempt:
        if message_id == fourth.id:
            rig.answer = lambda *_: GOOD
            rig.replay(messages[0].cursor)
        return GOOD

    rig.answer = replayed
    rig.run()
    assert rig.sent() == ids([*messages, fourth, *messages[1:], fourth])


def test_a_subscription_that_is_removed_while_a_message_is_on_its_way(small: DeliveryRig) -> None:
    from shared.subscriptions.subscription_changes import removal_plan

    rig = small
    rig.subscribe()
    publish(rig, 3)

    def removed(_url: str, _message_id: str) -> WebhookAttempt:
        rig.answer = lambda *_: GOOD
        rig.database.apply(removal_plan(TABLES, EVERYBODY, "s-1"))
        return GOOD

    rig.answer = removed
    rig.run()
    assert rig.deliveries() == []
    publish(rig, 3)
    rig.posts.clear()
    rig.run_for(60)
    assert rig.posts == []


def test_one_that_fails_holds_up_neither_other_subscriptions_nor_other_locations(any_url: str) -> None:
    rig = DeliveryRig(any_url, ("BEY-01", "BEY-02"))
    rig.subscribe("down")
    rig.subscribe("up")
    here, there = publish(rig, 3, "BEY-01"), publish(rig, 3, "BEY-02")
    stuck = here[0].id
    rig.answer = lambda url, message_id: SILENT if "down" in url and message_id == stuck else GOOD
    rig.run_for(60)
    assert sorted(rig.sent("up")) == sorted(ids([*here, *there]))
    assert rig.cursor("down", "BEY-02").cursor == there[-1].cursor
    assert rig.cursor("up", "BEY-02").cursor == there[-1].cursor
    rig.answer = lambda *_: GOOD
    rig.run_for(HOUR)
    for place, messages in (("BEY-01", here), ("BEY-02", there)):
        assert rig.cursor("down", place).cursor == messages[-1].cursor
    rig.close()


def test_a_location_that_is_new_is_sent_from_its_beginning(any_url: str) -> None:
    rig = DeliveryRig(any_url, ())
    rig.subscribe("all")
    rig.subscribe("one", location_ids=frozenset({"WH-1"}))
    rig.locations += ["BEY-09"]
    messages = publish(rig, 2, "BEY-09")
    rig.run_for(2)
    assert rig.sent("all") == ids(messages)
    assert rig.sent("one") == []
    rig.close()


def test_the_last_thousand_delivered_are_kept(small: DeliveryRig) -> None:
    small.subscribe()
    messages = publish(small, DELIVERED_KEPT + 130)
    small.run()
    kept = small.deliveries()
    assert [each.message_id for each in kept] == ids(messages)[:129:-1]
    assert small.cursor().delivered == DELIVERED_KEPT + 130


def test_a_rotated_secret_signs_as_long_as_it_overlaps(rig: DeliveryRig) -> None:
    rig.subscribe()
    plan = rotation_plan(TABLES, EVERYBODY, "s-1", "whsec_new", overlap_seconds=100, now=rig.clock.now(), request=None)
    assert rig.database.apply(plan) == "whsec_new"
    rig.deliverer.changed()
    publish(rig, 1)
    rig.run()
    assert rig.posts[-1][3] == ("whsec_new", SECRET)
    rig.clock.pass_time(101)
    publish(rig, 1)
    rig.run()
    assert rig.posts[-1][3] == ("whsec_new",)
    rig.deliverer.sweep()
    with rig.database.reading() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM subscription_secret").scalar_one() == 1


def test_several_processes_share_the_work(any_url: str) -> None:
    """A claim that is held is respected; one whose process died is taken over when it ends."""
    rig = DeliveryRig(any_url, claims=True)
    rig.subscribe()
    other = rig.new_deliverer()
    messages = publish(rig, 1)

    def meanwhile(_url: str, _message_id: str) -> WebhookAttempt:
        rig.answer = lambda *_: GOOD
        other.changed()
        other.step()
        return GOOD

    rig.answer = meanwhile
    rig.run()
    assert rig.sent() == ids(messages), "the other did nothing while it was claimed"

    class Killed(BaseException):
        pass

    def killed(_url: str, _message_id: str) -> WebhookAttempt:
        raise Killed

    (next_one,) = publish(rig, 1)
    rig.answer = killed
    with pytest.raises(Killed):
        rig.deliverer.step()
    rig.answer = lambda *_: GOOD
    rig.posts.clear()
    rig.deliverer = other
    rig.run_for(50)
    assert rig.posts == []
    rig.run_for(20)
    assert rig.sent() == [next_one.id]
    rig.close()


def test_a_deliverer_that_slept_through_its_claim_notes_nothing(any_url: str) -> None:
    rig = DeliveryRig(any_url, claims=True)
    rig.subscribe()
    other = rig.new_deliverer()
    messages = publish(rig, 2)

    def slept(_url: str, _message_id: str) -> WebhookAttempt:
        rig.answer = lambda *_: GOOD
        rig.clock.pass_time(120)
        other.changed()
        other.step()
        return REFUSED

    rig.answer = slept
    rig.run()
    assert rig.cursor().cursor == messages[-1].cursor
    assert rig.cursor().failing_since is None
    assert [each.state for each in rig.deliveries()] == [DeliveryState.DELIVERED] * 2
    rig.close()


@pytest.mark.parametrize("seed", range(6))
def test_two_processes_under_random_interleaving_lose_nothing(tmp_path: Path, seed: int) -> None:
    """Steps of two deliverers, crashes and failing receivers in random order: everything arrives, in order."""
    rng = random.Random(seed)
    rig = DeliveryRig(f"sqlite:///{tmp_path / 'subscriptions.db'}", ("BEY-01", "BEY-02"), claims=True)
    rig.subscribe(after=BEFORE_ALL)
    expected: dict[str, list[bytes]] = {place: [] for place in rig.locations}
    deliverers = [rig.new_deliverer(), rig.new_deliverer()]

    class Killed(BaseException):
        pass

    def crash() -> None:
        raise Killed

    rig.answer = lambda *_: rng.choice([GOOD, GOOD, GOOD, REFUSED, SILENT])
    for _ in range(120):
        place = rng.choice(rig.locations)
        expected[place] += [each.body for each in publish(rig, rng.randrange(3), place)]
        number = rng.randrange(2)
        if rng.random() < 0.15:
            rig.database.before_commit = crash
        try:
            deliverers[number].changed()
            deliverers[number].step()
        except Killed:
            deliverers[number] = rig.new_deliverer()
        rig.clock.pass_time(rng.choice([0.1, 1, 30, 70]))
    rig.database.before_commit = None
    rig.answer = lambda *_: GOOD
    rig.deliverer = deliverers[0]
    rig.run_for(700)
    for place in rig.locations:
        assert rig.cursor("s-1", place).cursor == rig.messages.end(place)
    first_seen = list(dict.fromkeys(body for _, _, body, _ in rig.posts))
    for place, bodies in expected.items():
        assert [each for each in first_seen if place.encode() in each] == bodies
    rig.close()


def test_a_new_epoch_goes_on_after_the_old_cursor(rig: DeliveryRig) -> None:
    rig.subscribe()
    publish(rig, 5)
    rig.run()
    (continued,) = rig.messages.add(PLACE, "larder.LogContinued", epoch=2)
    assert continued.cursor == MessageCursor(2, 6, 0)
    rig.run()
    assert rig.sent()[-1] == continued.id


def test_a_log_that_cannot_be_read_to_its_end_is_not_read_all_the_time(small: DeliveryRig) -> None:
    small.subscribe()
    messages = publish(small, 4)
    small.messages.readable = 2
    small.run_for(60)
    assert small.sent() == ids(messages[:2])
    assert small.messages.reads < 60
    small.messages.readable = None
    small.run_for(10)
    assert small.sent() == ids(messages)


def test_it_follows_the_log_only_while_a_subscription_may_want_something(small: DeliveryRig, tmp_path: Path) -> None:
    assert small.deliverer.follows, "it has not looked yet"
    small.run()
    assert not small.deliverer.follows
    small.subscribe()
    assert small.deliverer.follows, "somebody has subscribed since"
    small.run()
    assert small.deliverer.follows
    small.change(state=SubscriptionState.PAUSED)
    small.run()
    assert not small.deliverer.follows
    small.change(state=SubscriptionState.ACTIVE)
    publish(small, 2)
    assert small.deliverer.follows
    small.run()
    assert len(small.posts) == 2
    shared = DeliveryRig(f"sqlite:///{tmp_path / 'shared.db'}", claims=True)
    shared.run()
    assert shared.deliverer.follows, "another process may subscribe"
    shared.close()
