"""Delivery against a plain model: whatever receivers, people and crashes do, in any order.

The model is a list a location and an index into it. It is told of every attempt as it is made, says whether that one
was allowed then, and at the end which messages must have arrived.
"""

from __future__ import annotations

import tempfile
from copy import deepcopy
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from shared.outbox.message_cursor import BEFORE_ALL, MessageCursor
from shared.outbox.message_source import OutboxMessage
from shared.runtime.webhooks.webhook_poster import AttemptOutcome, WebhookAttempt
from shared.subscriptions import deliverer, delivery_notes, delivery_state, lanes
from shared.subscriptions.delivery_state import Delivery, DeliveryState
from shared.subscriptions.subscription_records import SubscriptionCursor, SubscriptionState
from tests.support.delivery_rig import GONE, GOOD, REFUSED, SILENT, DeliveryRig
from tests.support.listed_messages import ADDED, REMOVED

PLACES = ("BEY-01", "BEY-02")
SECOND = 1_000_000
HOUR = 3_600
HOURLY = WebhookAttempt(AttemptOutcome.REFUSED, 500, "answered 500", 3_600.0)
BUSY = WebhookAttempt(AttemptOutcome.AWAY, 429, "answered 429", 50.0)
ANSWERS = {"good": GOOD, "refused": REFUSED, "hourly": HOURLY, "silent": SILENT, "busy": BUSY, "gone": GONE}


class Killed(BaseException):
    """The process ends here."""


class PlainTries:
    """How one message was answered so far."""

    def __init__(self) -> None:
        self.attempts = 0
        self.refused = 0
        self.last: tuple[int, bool] | None = None  # when it was tried last, and whether it was refused
        self.not_before = 0

    def failed(self, answer: WebhookAttempt, now: int) -> bool:
        """Count one more answer that was not good; whether it is given up now."""
        self.attempts += 1
        refused = answer.outcome is AttemptOutcome.REFUSED
        if refused and self.last is not None and self.last[1]:
            self.refused += min(now - self.last[0], HOUR * SECOND)
        self.last = now, refused
        self.not_before = now + shortest_wait(answer, self.attempts)
        return refused and self.refused >= 72 * HOUR * SECOND


def shortest_wait(answer: WebhookAttempt, attempts: int) -> int:
    if answer is GONE:
        return 0
    if answer.retry_after is not None:
        return int(answer.retry_after * SECOND)
    return int(0.8 * min(300, 2 ** (attempts - 1)) * SECOND) - 1


class PlainLane:
    """What is known of one location by counting alone."""

    def __init__(self) -> None:
        self.messages: list[OutboxMessage] = []
        self.next = 0  # the message that must be tried next
        self.tries = PlainTries()  # of that one
        self.resends: dict[str, PlainTries] = {}  # of messages to be sent beside those in order, by id
        self.dead: set[str] = set()
        self.arrived: list[str] = []
        self.skipped: set[str] = set()  # a replay from further on left them out on purpose


class DeliveryMachine(RuleBasedStateMachine):
    """One subscription to two locations."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.rig = DeliveryRig(f"sqlite:///{Path(self.folder.name) / 'subscriptions.db'}", PLACES)
        self.rig.answer = self.answered
        self.lanes = {place: PlainLane() for place in PLACES}
        self.mood = "good"
        self.state = "ACTIVE"
        self.crashing = False
        self.started = False
        self.undo: list[tuple[PlainLane, dict[str, object]]] = []

    @initialize()
    def subscribe(self) -> None:
        self.rig.subscribe(after=BEFORE_ALL)
        self.started = True

    # What the receiver sees

    def answered(self, _url: str, message_id: str) -> WebhookAttempt:
        body = self.rig.posts[-1][2].decode()
        place = next(each for each in PLACES if each in body)
        lane, now = self.lanes[place], self.rig.clock.now()
        answer = ANSWERS[self.mood]
        assert self.state == "ACTIVE", "nothing is sent to one that is paused or gone"
        self.remember(lane)
        if message_id in lane.resends and message_id != self.id_of(lane):
            assert now >= lane.resends[message_id].not_before
            if answer is GOOD:
                del lane.resends[message_id]
                lane.arrived.append(message_id)
            elif lane.resends[message_id].failed(answer, now):
                del lane.resends[message_id]
                lane.dead.add(message_id)
        else:
            assert message_id == self.id_of(lane), "in order, and none is left out"
            assert now >= lane.tries.not_before, "not before its time"
            self.tried_in_order(lane, message_id, answer, now)
        if answer is GONE and not self.crashing:
            self.state = "DISABLED"
        return answer

    def tried_in_order(self, lane: PlainLane, message_id: str, answer: WebhookAttempt, now: int) -> None:
        lane.dead.discard(message_id)  # a replay came back to it
        dead = answer is not GOOD and lane.tries.failed(answer, now)
        if answer is GOOD:
            lane.arrived.append(message_id)
        if dead:
            lane.dead.add(message_id)
        if answer is GOOD or dead:
            lane.next += 1
            lane.tries = PlainTries()

    def id_of(self, lane: PlainLane) -> str | None:
        return lane.messages[lane.next].id if lane.next < len(lane.messages) else None

    def remember(self, lane: PlainLane) -> None:
        """What the model goes back to where the attempt is not noted."""
        if self.crashing:
            undone = ("next", "tries", "resends", "dead")
            self.undo.append((lane, {name: deepcopy(getattr(lane, name)) for name in undone}))

    # What happens

    @rule(place=st.sampled_from(PLACES), kinds=st.lists(st.sampled_from([ADDED, REMOVED]), max_size=3))
    def publish(self, place: str, kinds: list[str]) -> None:
        self.lanes[place].messages += self.rig.messages.add(place, *kinds)

    @rule(place=st.sampled_from(PLACES), count=st.integers(40, 70))
    def publish_many(self, place: str, count: int) -> None:
        for _ in range(count):
            self.lanes[place].messages += self.rig.messages.add(place, ADDED)

    @rule(mood=st.sampled_from(sorted(ANSWERS)))
    def the_receiver_changes(self, mood: str) -> None:
        self.mood = mood

    @rule()
    def step(self) -> None:
        self.rig.deliverer.step()

    @rule(seconds=st.sampled_from([0.5, 1.0, 3.0, 60.0, 400.0, 3_700.0]), times=st.integers(1, 12))
    def time_passes(self, seconds: float, times: int) -> None:
        for _ in range(times):
            self.rig.clock.pass_time(seconds)
            self.rig.deliverer.step()

    @rule()
    def days_pass_with_refusals(self) -> None:
        self.mood = "hourly"
        for _ in range(80):
            self.rig.deliverer.step()
            self.rig.clock.pass_time(HOUR + 1)

    @rule()
    def it_is_killed_before_it_notes(self) -> None:
        """A step whose first note is lost: the model goes back to before it."""

        def crash() -> None:
            raise Killed

        self.rig.deliverer.changed()
        self.crashing, self.undo = True, []
        self.rig.database.before_commit = crash
        try:
            self.rig.deliverer.step()
        except Killed:
            for lane, before in reversed(self.undo):
                vars(lane).update(before)
        else:
            if self.undo and self.mood == "gone":
                self.state = "DISABLED"
        self.crashing = False
        self.rig.database.before_commit = None
        self.rig.deliverer = self.rig.new_deliverer()

    @rule()
    def another_process_begins(self) -> None:
        self.rig.deliverer = self.rig.new_deliverer()

    @rule()
    def pause(self) -> None:
        self.rig.change(state=SubscriptionState.PAUSED.value)
        self.state = "PAUSED"

    @rule()
    def resume(self) -> None:
        self.rig.change(state=SubscriptionState.ACTIVE.value)
        self.state = "ACTIVE"
        for lane in self.lanes.values():
            for each in (lane.tries, *lane.resends.values()):
                each.not_before = 0

    @rule(place=st.sampled_from(PLACES), number=st.integers(0, 400))
    def replay(self, place: str, number: int) -> None:
        lane = self.lanes[place]
        number = min(number, len(lane.messages))
        cursor = lane.messages[number - 1].cursor if number else BEFORE_ALL
        self.rig.replay(cursor, location_id=place)
        lane.skipped |= {each.id for each in lane.messages[lane.next : number]}
        lane.next = number
        lane.tries = PlainTries()
        lane.resends.clear()

    @rule(place=st.sampled_from(PLACES), number=st.integers(0, 30))
    def resend(self, place: str, number: int) -> None:
        lane = self.lanes[place]
        passed = {each.id for each in lane.messages[: lane.next]}
        kept = [each for each in self.kept(place) if each in passed]
        if not kept:
            return
        message_id = kept[number % len(kept)]
        self.rig.resend(message_id)
        lane.resends[message_id] = PlainTries()
        # It is known as one to be sent, no more as dead.
        lane.dead.discard(message_id)

    def kept(self, place: str) -> list[str]:
        return [each.message_id for each in self.rig.deliveries(location_id=place)]

    # What must be so

    @invariant()
    def cursors_are_where_the_model_is(self) -> None:
        for place, lane in self.lanes.items() if self.started else ():
            at = self.rig.cursor("s-1", place).cursor
            before = lane.messages[lane.next - 1].cursor if lane.next else BEFORE_ALL
            after = self.id_of(lane)
            assert at >= before
            if after is not None:
                assert at < lane.messages[lane.next].cursor, "nothing is passed over"

    @invariant()
    def the_dead_are_those_of_the_model(self) -> None:
        if self.started:
            for place, lane in self.lanes.items():
                dead = {each.message_id for each in self.rig.deliveries(state=DeliveryState.DEAD, location_id=place)}
                assert dead == lane.dead

    def teardown(self) -> None:
        """Everybody is well again: all that is not dead arrives."""
        if self.started:
            self.mood = "good"
            self.resume()
            self.rig.run_for(2 * HOUR)
            for place, lane in self.lanes.items():
                assert lane.next == len(lane.messages)
                assert lane.resends == {}
                assert {each.id for each in lane.messages} - set(lane.arrived) <= lane.dead | lane.skipped
                end: MessageCursor = self.rig.messages.end(place)
                assert self.rig.cursor("s-1", place).cursor == end
        self.rig.close()
        self.folder.cleanup()


SETTINGS = settings(max_examples=12, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck))
DeliveryMachine.TestCase.settings = SETTINGS
TestDelivery = DeliveryMachine.TestCase


def passing_over(before: SubscriptionCursor, tried: list[Delivery], reached: MessageCursor) -> SubscriptionCursor:
    """A defect: the cursor goes on behind a message that is to be tried again."""
    return delivery_notes.cursor_after(before, tried, tried[-1].cursor if tried else reached)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("module", "name", "defect"),
    [
        (lanes, "_moment", lambda _next_try_at, _now: 0),
        (delivery_state, "LONGEST_REFUSED", 36 * HOUR * SECOND),
        (deliverer, "cursor_after", passing_over),
    ],
    ids=["does not wait", "gives up too early", "passes over what failed"],
)
def test_a_planted_defect_is_found(
    module: ModuleType, name: str, defect: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, name, defect)
    tried = settings(SETTINGS, max_examples=200, derandomize=True, database=None, phases=[Phase.generate])
    with pytest.raises(AssertionError):
        run_state_machine_as_test(DeliveryMachine, settings=tried)
