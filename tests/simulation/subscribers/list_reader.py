"""A reader that pages through the messages of a log, by the cursor that each page or message gives it."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random
from typing import cast

import httpx
import msgspec

from shared.outbox.message_requests import START, message_page
from shared.outbox.message_source import MessageReader
from shared.outbox.outbox_reader import OutboxReader
from tests.simulation.branch import OFFICE
from tests.simulation.network import Network
from tests.simulation.office import KEYS
from tests.simulation.rule_broken import RuleBroken
from tests.simulation.subscribers.message_ledger import FollowedLane

LIMITS = (1, 1, 2, 3, 5, 40)


class Page(msgspec.Struct):
    """What a list answers."""

    items: list[msgspec.Raw]
    next: str


@dataclass
class ListReader:
    """Reads a location's messages at a service, from the start. `came`: the pages that were not looked at yet."""

    service: str
    location_id: str
    lane: FollowedLane
    random: Random
    after: str = START
    limit: int = 1
    came: list[Page] = field(default_factory=list)

    def ask(self, network: Network, limit: int | None = None) -> Page | None:
        """Ask head office for the next page, through the network; None where it is not answered."""
        given = {"location_id": self.location_id, **self._parameters(limit)}
        headers = {"authorization": f"Bearer {KEYS['admin']}"}
        request = httpx.Request("GET", f"{OFFICE}/v1/messages", params=given, headers=headers)
        try:
            answer = network.send("a reader", request)
        except httpx.TransportError:
            return None
        if answer.status_code != 200:
            raise RuleBroken(16, f"{given} was answered {answer.status_code}: {answer.text}")
        return msgspec.json.decode(answer.content, type=Page)

    def ask_at(self, reader: MessageReader, limit: int | None = None) -> Page:
        """Ask a branch for the next page."""
        given = self._parameters(limit)
        answer = message_page(
            cast(OutboxReader, reader), self.location_id, given["after"], given.get("types"), self.limit
        )
        return msgspec.json.decode(bytes(answer.body), type=Page)

    def _parameters(self, limit: int | None) -> dict[str, str]:
        self.limit = limit or self.random.choice(LIMITS)
        types = {} if self.lane.types is None else {"types": ",".join(sorted(self.lane.types))}
        return {"after": self.after, "limit": str(self.limit), **types}

    def look(self) -> None:
        """What came is what comes next, all of it up to `next`. Raises RuleBroken."""
        for page in self.came:
            if len(page.items) > self.limit:
                raise RuleBroken(16, f"{self.lane.who} asked for {self.limit} messages and got {len(page.items)}")
            for item in page.items:
                if not self.lane.take(bytes(item)):
                    raise RuleBroken("M2", f"{self.lane.who} got {bytes(item)!r} again after {self.after}")
            self.lane.has_passed(page.next)
            # Both are good places to go on from.
            last = self.lane.cursors[self.lane.got - 1] if page.items else page.next
            self.after = self.random.choice([page.next, last])
        self.came.clear()
