"""A receiver of webhooks on the simulated network: it verifies what it is sent, takes it, and answers by its mood."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from random import Random
from typing import Any

from shared.outbox.message_records import CONTENT_TYPE
from shared.runtime.webhooks.webhook_signatures import InvalidSignature, verify
from tests.simulation.network import App, HostDied, NoAnswer
from tests.simulation.rule_broken import RuleBroken
from tests.simulation.subscribers.message_ledger import FollowedLane


class Mood(StrEnum):
    """How a receiver answers for a while. FORGETFUL: it takes the message, and its answer is lost."""

    FINE = "fine"
    FAILING = "answers 500"
    BUSY = "busy"
    HANGING = "hangs"
    RESETTING = "resets"
    FORGETFUL = "forgets to answer"
    REDIRECTING = "redirects"
    AWAY = "away"
    GONE = "gone"


MOODS = tuple(Mood)
WEIGHTS = (24, 14, 6, 12, 14, 10, 4, 10, 2)
STEADY = 0.8
"""How often it answers by its mood, else well."""


@dataclass
class Subscriber:
    """One subscription, as the one who wants it knows it. `service`: a location's branch, or head office.

    `start`: what it asks to begin after. `secrets` and `lanes` once it was told that it is subscribed.
    """

    name: str
    service: str
    host: str
    types: frozenset[str] | None
    location_ids: tuple[str, ...] | None
    start: str
    subscription_id: str | None = None
    secrets: list[str] = field(default_factory=list)
    lanes: dict[str, FollowedLane] = field(default_factory=dict)
    paused: bool = False
    gone: bool = False
    arrived: list[tuple[str, bytes]] = field(default_factory=list)
    """What it took since the last look, by location."""
    rotations: int = 0
    untold_rotation: int | None = None

    @property
    def url(self) -> str:
        return f"https://{self.host}/{self.name}"


@dataclass
class Receiver:
    """A host with the addresses of some subscribers, by path. `patience`: lets a sender's patience pass."""

    host: str
    random: Random
    injected: Counter[str]
    patience: Callable[[], None]
    mood: Mood = Mood.FINE
    subscribers: dict[str, Subscriber] = field(default_factory=dict)

    @property
    def app(self) -> App | None:
        """What answers there; None while it is away."""
        return None if self.mood is Mood.AWAY else self._app

    async def _app(self, scope: Any, receive: Any, send: Any) -> None:
        request = await receive()
        headers = {name.decode().lower(): value.decode() for name, value in scope["headers"]}
        status, answered = self._answer(scope["path"].removeprefix("/"), headers, request["body"])
        await send({"type": "http.response.start", "status": status, "headers": answered})
        await send({"type": "http.response.body", "body": b""})

    def _answer(self, name: str, headers: dict[str, str], body: bytes) -> tuple[int, list[tuple[bytes, bytes]]]:
        subscriber = self.subscribers[name]
        try:
            # Senders' clocks are wrong at times; what it would do about that is not the matter here.
            message_id = verify(subscriber.secrets, headers, body, None)
        except InvalidSignature:
            self.injected["a receiver refused a signature"] += 1
            return 401, []
        message = json.loads(body)
        if message["id"] != message_id or headers["content-type"] != CONTENT_TYPE:
            raise RuleBroken("M3", f"{subscriber.name} was sent {message_id} as {headers}, and it is {body!r}")
        mood = self.mood if self.random.random() < STEADY else Mood.FINE
        if mood is not Mood.FINE:
            self.injected["a receiver failed"] += 1
            self.injected[f"a receiver {mood}"] += 1
        return self._by_mood(mood, subscriber, message["data"]["location_id"], body)

    def _by_mood(
        self, mood: Mood, subscriber: Subscriber, location_id: str, body: bytes
    ) -> tuple[int, list[tuple[bytes, bytes]]]:
        if mood in {Mood.FINE, Mood.FORGETFUL} or (mood is Mood.HANGING and self.random.random() < 0.5):
            subscriber.arrived.append((location_id, body))
        if mood is Mood.HANGING:
            self.patience()
            raise NoAnswer
        if mood in {Mood.RESETTING, Mood.FORGETFUL}:
            raise HostDied(f"{self.host} {mood}")
        if mood is Mood.BUSY:
            return 503, [(b"retry-after", str(self.random.choice([1, 30, 600])).encode())]
        if mood is Mood.GONE:
            subscriber.gone = True
        statuses = {Mood.FAILING: self.random.choice([500, 502, 404]), Mood.REDIRECTING: 307, Mood.GONE: 410}
        return statuses.get(mood, self.random.choice([200, 202, 204])), []
