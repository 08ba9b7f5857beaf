"""Subscriptions of a key that was revoked: nothing more is sent to them, until somebody else takes them over."""

from __future__ import annotations

from typing import Any

from shared.subscriptions.delivery_state import DeliveryState
from shared.subscriptions.subscription_records import SubscriptionState
from tests.support.delivery_rig import EVERYBODY, GOOD, SILENT, DeliveryRig
from tests.support.listed_messages import ADDED

PLACE = "BEY-01"


def publish(rig: DeliveryRig, count: int = 1) -> list[str]:
    return [each.id for _ in range(count) for each in rig.messages.add(PLACE, ADDED)]


def test_nothing_more_is_sent_and_the_place_is_kept(rig: DeliveryRig) -> None:
    rig.subscribe("s-1", owner="shop")
    rig.subscribe("s-2", owner="manager")
    sent = publish(rig, 2)
    rig.run()
    rig.revoked.add("shop")
    rig.clock.pass_time(2)
    rig.run()
    missed = publish(rig, 3)
    rig.run_for(60)
    assert (rig.sent("s-1"), rig.sent("s-2")) == (sent, sent + missed)
    assert rig.subscription("s-1").state is SubscriptionState.DISABLED
    assert rig.subscription("s-2").state is SubscriptionState.ACTIVE
    stopped = rig.cursor("s-1")
    assert stopped.error == "the key shop, which made this subscription, was revoked"
    assert stopped.failing_since is not None
    rig.change("s-1", state="ACTIVE")
    rig.run()
    assert rig.sent("s-1") == sent + missed
    assert rig.subscription("s-1").owner == EVERYBODY.key_id
    assert rig.cursor("s-1").error is None


def test_a_message_that_is_being_tried_is_tried_no_more(rig: DeliveryRig) -> None:
    rig.subscribe("s-1", owner="shop")
    (message,) = publish(rig)
    rig.answer = lambda *_: SILENT
    rig.run()
    rig.revoked.add("shop")
    rig.clock.pass_time(2)
    rig.posts.clear()
    rig.run_for(400)
    assert rig.posts == []
    assert [each.state for each in rig.deliveries("s-1")] == [DeliveryState.RETRYING]
    rig.answer = lambda *_: GOOD
    rig.change("s-1", state="ACTIVE")
    rig.run()
    assert rig.sent("s-1") == [message]


def test_what_was_on_its_way_when_the_key_was_revoked_is_not_noted_twice(small: DeliveryRig) -> None:
    """The revocation is seen by another process while a message is on its way: it comes again to who takes over."""
    small.subscribe("s-1", owner="shop")
    other = small.new_deliverer()
    (message,) = publish(small)

    def meanwhile(*_: Any) -> Any:
        small.answer = lambda *_: GOOD
        small.revoked.add("shop")
        other.step()
        return GOOD

    small.answer = meanwhile
    small.run()
    assert small.subscription("s-1").state is SubscriptionState.DISABLED
    assert small.deliveries("s-1") == []
    small.change("s-1", state="ACTIVE")
    small.run()
    assert small.sent("s-1") == [message, message]


def test_a_paused_one_stays_so_and_is_taken_over_by_who_resumes_it(rig: DeliveryRig) -> None:
    rig.subscribe("s-1", owner="shop")
    rig.change("s-1", state="PAUSED")
    rig.revoked.add("shop")
    rig.run()
    assert rig.subscription("s-1").state is SubscriptionState.PAUSED
    rig.change("s-1", label="still theirs")
    assert rig.subscription("s-1").owner == "shop"
    sent = publish(rig)
    rig.change("s-1", state="ACTIVE")
    rig.run()
    assert rig.sent("s-1") == sent
    assert rig.subscription("s-1").owner == EVERYBODY.key_id
