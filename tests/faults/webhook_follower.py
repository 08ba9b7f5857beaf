"""A system that follows head office by webhook while everything is killed: all messages, in order per location."""

from __future__ import annotations

from typing import Any, Final

import httpx
import msgspec

from tests.faults.hostile_group import Target
from tests.support.hook_receiver import HookReceiver, Received, Reply
from tests.support.waiting import wait_until

TYPES: Final = (
    "larder.InventoryReserved", "larder.InventoryUnavailable", "larder.ReservationConfirmed",
    "larder.ReservationReleased", "larder.ReservationExpired", "larder.TransferSent", "larder.TransferReceived",
    "larder.TransferEnded",
)  # fmt: skip
"""Not what tells of stock: 150,000 messages of the imports, one request each, would make the run twice as long."""
EVERY: Final = 50
"""Of so many messages one is refused at its first attempt."""


class WebhookFollower:
    """Subscribed to reservations and transfers at all locations from the start. `taken`: (location, id) in order."""

    def __init__(self) -> None:
        self.taken: list[tuple[str, str]] = []
        self.refused: set[str] = set()
        self._seen: set[str] = set()
        self._receiver = HookReceiver(self._answer)
        self._receiver.__enter__()

    def subscribe(self, client: httpx.Client, office: Target, admin: str) -> None:
        body = {"url": self._receiver.url, "types": list(TYPES), "after": "start"}
        answer = office.request(client, "POST", "/v1/subscriptions", admin, json=body)
        assert answer.status_code == 201, answer.text

    def _answer(self, received: Received) -> Reply:
        # Called by several threads, those of different locations; of one location the next comes after the answer.
        message = msgspec.json.decode(received.body)
        assert message["id"] == received.message_id
        if message["id"] not in self._seen:
            self._seen.add(message["id"])
            if len(self._seen) % EVERY == 0:
                self.refused.add(message["id"])
                return Reply(500)
        self.taken.append((message["data"]["location_id"], message["id"]))
        return Reply()

    def judge(self, client: httpx.Client, office: Target, admin: str, locations: list[str]) -> dict[str, int]:
        """Each location's messages, as first received, are those that its list has, in that order; how many by type."""
        counts: dict[str, int] = {}
        for location in locations:
            listed = listed_messages(client, office, admin, location)
            ids = [each["id"] for each in listed]
            wait_until(lambda ids=ids: self._seen.issuperset(ids), 120, what=f"the messages of {location}")  # type: ignore[misc]
            wait_until(lambda n=location, ids=ids: len(self._received_from(n)) >= len(ids), 60)  # type: ignore[misc]
            assert self._received_from(location) == ids, f"the messages of {location}"
            for each in listed:
                counts[each["type"]] = counts.get(each["type"], 0) + 1
        return counts

    @property
    def repeated(self) -> int:
        """How many messages came again after they had been taken."""
        return len(self.taken) - len(set(self.taken))

    def _received_from(self, location: str) -> list[str]:
        """Each once, where it came first."""
        return list(dict.fromkeys(message_id for place, message_id in list(self.taken) if place == location))

    def close(self) -> None:
        self._receiver.close()


def listed_messages(client: httpx.Client, office: Target, admin: str, location: str) -> list[dict[str, Any]]:
    """All messages of the types at a location, as head office lists them."""
    found: list[dict[str, Any]] = []
    after = "start"
    while True:
        params = {"location_id": location, "types": ",".join(TYPES), "after": after, "limit": 1_000}
        answer = office.request(client, "GET", "/v1/messages", admin, params=params)
        assert answer.status_code == 200, answer.text
        page = answer.json()
        found += page["items"]
        if page["next"] is None or page["next"] == after:
            return found
        after = page["next"]
