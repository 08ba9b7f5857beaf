"""Another system that tells a service of its orders: CloudEvents that it signs, whole or in parts."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Callable, Mapping
from typing import Any

from shared.runtime.webhooks.webhook_signatures import signed_headers

STRUCTURED = "application/cloudevents+json"
_ids = itertools.count(1)


def order_event(told: str, order_id: str, *, id: str | None = None, **data: Any) -> dict[str, Any]:
    """`order.<told>` as it is sent; of `data`, a mapping for `lines` is quantities by item, and `time` is the event's.

    It has an id of its own unless one is given.
    """
    if isinstance(data.get("lines"), Mapping):
        data["lines"] = [{"item_id": item, "quantity": quantity} for item, quantity in data["lines"].items()]
    event: dict[str, Any] = {
        "specversion": "1.0",
        "id": id or f"told-{next(_ids)}",
        "source": "https://shop.example",
        "type": f"com.shop.order.{told}",
    }
    if "time" in data:
        event["time"] = data.pop("time")
    return {**event, "data": {"order_id": order_id, **data}}


class SignedShop:
    """Sends events with `post(path, body, headers)`, signed with `secret`; `now` gives microseconds UTC."""

    def __init__(
        self,
        secret: str,
        path: str,
        post: Callable[[str, bytes, dict[str, str]], Any],
        now: Callable[[], int] = lambda: time.time_ns() // 1_000,
    ) -> None:
        self.secret = secret
        self.path = path
        self._post = post
        self._now = now

    def send(self, event: Mapping[str, Any], *, binary: bool = False) -> Any:
        """The answer to an event: whole, or its attributes as headers and its data as the body."""
        if binary:
            body = json.dumps(event["data"]).encode()
            attributes = {f"ce-{name}": value for name, value in event.items() if name != "data"}
            return self.post(body, {"content-type": "application/json", **attributes})
        return self.post(json.dumps(event).encode(), {"content-type": STRUCTURED})

    def post(self, body: bytes, headers: Mapping[str, str]) -> Any:
        """The answer to a body, signed."""
        return self._post(self.path, body, {**signed_headers([self.secret], "m", self._now(), body), **headers})

    def tell(self, told: str, order_id: str, *, binary: bool = False, **more: Any) -> Any:
        """The answer to `order.<told>`; `more` as of `order_event`."""
        return self.send(order_event(told, order_id, **more), binary=binary)
