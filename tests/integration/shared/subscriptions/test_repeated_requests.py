"""A request about a subscription that comes twice, as it does after a lost answer: one effect for each key."""

from __future__ import annotations

from typing import Any

import pytest

from shared.outbox.message_cursor import BEFORE_ALL
from shared.runtime.database.planned_changes import Plan
from shared.runtime.problems import Problem
from shared.subscriptions.request_keys import KEYS_KEPT, keyed_request
from shared.subscriptions.subscription_changes import removal_plan, replay_plan, resending_plan, rotation_plan
from tests.support.delivery_rig import EVERYBODY, GOOD, REFUSED, SECRET, DeliveryRig
from tests.support.listed_messages import ADDED, TABLES

PLACE = "BEY-01"


def replay(rig: DeliveryRig, key: str | None, given: Any = "all") -> Plan:
    request = keyed_request(key, "replay", given)
    return replay_plan(TABLES, EVERYBODY, "s-1", {PLACE: BEFORE_ALL}, request=request)


def rotate(rig: DeliveryRig, key: str | None, made: str, overlap: int = 100) -> str:
    request = keyed_request(key, "rotate", overlap)
    now = rig.clock.now()
    answer = rig.database.apply(
        rotation_plan(TABLES, EVERYBODY, "s-1", made, overlap_seconds=overlap, now=now, request=request)
    )
    rig.deliverer.changed()
    return str(answer)


def apply(rig: DeliveryRig, plan: Plan) -> None:
    rig.database.apply(plan)
    rig.deliverer.changed()


def test_a_replay_sends_again_once_for_each_key(rig: DeliveryRig) -> None:
    rig.subscribe()
    sent = [each.id for _ in range(3) for each in rig.messages.add(PLACE, ADDED)]
    rig.run()
    apply(rig, replay(rig, "r-1"))
    rig.run()
    assert rig.sent() == sent * 2
    apply(rig, replay(rig, "r-1"))
    rig.run()
    assert rig.sent() == sent * 2, "the answer was lost, the request came again"
    apply(rig, replay(rig, "r-2"))
    rig.run()
    apply(rig, replay(rig, None))
    rig.run()
    apply(rig, replay(rig, None))
    rig.run()
    assert rig.sent() == sent * 5, "another key, or none, is another request"
    with pytest.raises(Problem) as refused:
        apply(rig, replay(rig, "r-1", "from the middle"))
    assert refused.value.code == "key-reused"


def test_a_replay_that_comes_again_half_way_does_not_begin_anew(small: DeliveryRig) -> None:
    small.subscribe()
    sent = [each.id for _ in range(4) for each in small.messages.add(PLACE, ADDED)]
    small.run()
    small.posts.clear()
    apply(small, replay(small, "r-1"))

    def meanwhile(_url: str, message_id: str) -> Any:
        if message_id == sent[1] and len(small.posts) == 2:
            apply(small, replay(small, "r-1"))
        return GOOD

    small.answer = meanwhile
    small.run()
    assert small.sent() == sent


def test_one_message_is_sent_again_once_for_each_key(rig: DeliveryRig) -> None:
    rig.subscribe()
    (message,) = rig.messages.add(PLACE, ADDED)
    rig.run()
    rig.posts.clear()

    def resend(key: str) -> None:
        request = keyed_request(key, "replay", message.id)
        apply(rig, resending_plan(TABLES, EVERYBODY, "s-1", message.id, now=rig.clock.now(), request=request))
        rig.run()

    for key in ("m-1", "m-1", "m-2"):
        resend(key)
    assert rig.sent() == [message.id] * 2


def test_a_refused_replay_keeps_no_key(rig: DeliveryRig) -> None:
    rig.subscribe()
    request = keyed_request("m-1", "replay", "x")

    def plan() -> Plan:
        return resending_plan(TABLES, EVERYBODY, "s-1", "none", now=rig.clock.now(), request=request)

    for _ in range(2):
        with pytest.raises(Problem) as refused:
            rig.database.apply(plan())
        assert refused.value.code == "unknown-message"


def test_a_rotation_makes_one_secret_for_each_key_and_never_answers_one_that_has_ended(rig: DeliveryRig) -> None:
    rig.subscribe()
    assert rotate(rig, "t-1", "whsec_1") == "whsec_1"
    assert rotate(rig, "t-1", "whsec_x") == "whsec_1"
    rig.messages.add(PLACE, ADDED)
    rig.run()
    assert rig.posts[-1][3] == ("whsec_1", SECRET)
    with pytest.raises(Problem) as refused:
        rotate(rig, "t-1", "whsec_x", overlap=0)
    assert refused.value.code == "key-reused"
    assert rotate(rig, "t-2", "whsec_2", overlap=0) == "whsec_2"
    rig.clock.pass_time(1)
    rig.deliverer.sweep()
    assert rotate(rig, "t-1", "whsec_x") == "whsec_2", "the first secret has ended, and makes no third"
    rig.messages.add(PLACE, ADDED)
    rig.run()
    assert rig.posts[-1][3] == ("whsec_2",)


def test_the_last_thousand_keys_are_known_and_go_with_the_subscription(
    small: DeliveryRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert KEYS_KEPT == 1_000
    monkeypatch.setattr("shared.subscriptions.request_keys.KEYS_KEPT", 5)
    small.answer = lambda *_: REFUSED
    small.subscribe()
    for number in range(12):
        apply(small, replay(small, f"r-{number}"))
    with small.database.reading() as connection:
        rows = connection.exec_driver_sql("SELECT request_key FROM subscription_request ORDER BY number").all()
    assert [each[0] for each in rows] == [f"r-{number}" for number in range(7, 12)]
    apply(small, removal_plan(TABLES, EVERYBODY, "s-1"))
    with small.database.reading() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM subscription_request").scalar_one() == 0
