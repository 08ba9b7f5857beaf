"""A shop's checkout as a program of its own: it knows the branch's address and its key, and nothing else of Larder.

Plays a day of orders and prints what it did and was answered, and the messages that it received, as lines of JSON.

    python tests/scenarios/shop_client.py http://127.0.0.1:8101 lk_...
"""

from __future__ import annotations

import json
import sys
import threading
import time
from typing import Any

import httpx

ITEM = "milk"
PATIENCE = 20.0
Figures = tuple[float, float, float]


class Shop:
    """The shop's side of the wire."""

    def __init__(self, url: str, key: str) -> None:
        self._url = url
        self._headers = {"Authorization": f"Bearer {key}"}
        self.http = httpx.Client(base_url=url, headers=self._headers, timeout=10)
        self.received: list[dict[str, Any]] = []
        self._listening = threading.Event()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()
        self._listening.wait(PATIENCE)

    def _listen(self) -> None:
        """Receive messages as server-sent events; begin again behind the last one after a break."""
        last: str | None = None
        while not self._stopped.is_set():
            headers = self._headers | ({} if last is None else {"Last-Event-ID": last})
            try:
                with httpx.stream(
                    "GET", f"{self._url}/v1/messages/stream?after=end", headers=headers, timeout=30
                ) as stream:
                    for line in stream.iter_lines():
                        if line.startswith("id: "):
                            last = line[4:]
                        elif line.startswith("data: "):
                            self.received.append(json.loads(line[6:]))
                        self._listening.set()
                        if self._stopped.is_set():
                            return
            except httpx.TransportError:
                continue

    def post(self, path: str, body: dict[str, Any], key: str) -> httpx.Response:
        """Send a command under a key until there is an answer."""
        for _ in range(3):
            try:
                return self.http.post(path, json=body, headers={"Idempotency-Key": key})
            except httpx.TransportError:
                continue
        return self.http.post(path, json=body, headers={"Idempotency-Key": key})

    def stock(self) -> Figures:
        found = self.http.get(f"/v1/stock/{ITEM}").json()
        return found["on_hand"], found["reserved"], found["available"]

    def reserve(self, order_id: str, quantity: float, **more: Any) -> httpx.Response:
        lines = [{"item_id": ITEM, "quantity": quantity}]
        body = {"order_id": order_id, "source": "shop", "lines": lines, **more}
        return self.post("/v1/reservations", body, f"{order_id}:{more.get('revision', 1)}")

    def wait_for(self, count: int) -> None:
        deadline = time.monotonic() + PATIENCE
        while len(self.received) < count and time.monotonic() < deadline:
            time.sleep(0.05)

    def close(self) -> None:
        self._stopped.set()
        self.http.close()


def tell(kind: str, **fields: Any) -> None:
    print(json.dumps({"kind": kind, **fields}), flush=True)


def step(shop: Shop, did: str, answer: httpx.Response, expected: tuple[int, str], figures: Figures) -> dict[str, Any]:
    """Tell a step, whether it was answered as expected (status; state or code), and the figures after it."""
    body: dict[str, Any] = answer.json()
    word = body.get("state") if answer.is_success else body.get("code")
    stock = shop.stock()
    tell(
        "step",
        did=did,
        said=f"{answer.status_code} {word or ''}".strip(),
        stock=stock,
        ok=(answer.status_code, word or "") == expected and stock == figures,
    )
    return body


def day(shop: Shop) -> None:
    """The orders of a day; the branch has 50 of the item at its beginning."""
    first = step(shop, "web-1 placed: 2", shop.reserve("web-1", 2), (201, "ACTIVE"), (50, 2, 48))["reservation_id"]
    parcel = {"lines": [{"item_id": ITEM, "quantity": 1}], "rest": "keep"}
    answer = shop.post(f"/v1/reservations/{first}/confirm", parcel, "web-1:parcel-1")
    step(shop, "web-1: first parcel sent, 1", answer, (200, "ACTIVE"), (49, 1, 48))
    answer = shop.post(f"/v1/reservations/{first}/confirm", {}, "web-1:parcel-2")
    step(shop, "web-1: second parcel sent, the rest", answer, (200, "CONFIRMED"), (48, 0, 48))
    second = step(shop, "web-2 placed: 3", shop.reserve("web-2", 3), (201, "ACTIVE"), (48, 3, 45))["reservation_id"]
    answer = shop.post(f"/v1/reservations/{second}/release", {"reason": "cancelled"}, "web-2:cancel")
    step(shop, "web-2 cancelled", answer, (200, "RELEASED"), (48, 0, 48))
    answer = shop.post(f"/v1/reservations/{second}/release", {"reason": "cancelled"}, "web-2:cancel-2")
    step(shop, "web-2 cancelled a second time", answer, (409, "reservation-ended"), (48, 0, 48))
    third = shop.reserve("web-3", 4, expires_in=1).json()["reservation_id"]
    deadline = time.monotonic() + PATIENCE
    while (found := shop.http.get(f"/v1/reservations/{third}")).json()["state"] == "ACTIVE":
        if time.monotonic() > deadline:
            break
        time.sleep(0.05)
    step(shop, "web-3 placed: 4, for a second; not paid", found, (200, "EXPIRED"), (48, 0, 48))
    back = {"sku": ITEM, "change": 1, "reason": "RETURN", "note": "web-1"}
    answer = shop.post("/api/inventory/adjust", back, "web-1:return")
    step(shop, "web-1: 1 came back", answer, (200, ""), (49, 0, 49))
    step(shop, "web-4 placed: 100", shop.reserve("web-4", 100), (409, "inventory-unavailable"), (49, 0, 49))


EXPECTED_MESSAGES = (
    "InventoryReserved",
    "ReservationConfirmed",
    "ReservationConfirmed",
    "InventoryReserved",
    "ReservationReleased",
    "InventoryReserved",
    "ReservationExpired",
    "StockAdded",
    "InventoryUnavailable",
)


def main() -> int:
    shop = Shop(*sys.argv[1:3])
    try:
        day(shop)
        shop.wait_for(len(EXPECTED_MESSAGES))
        for message in shop.received:
            lines = message["data"]["lines"]
            tell("message", type=message["type"], subject=message.get("subject"), lines=lines)
        types = tuple(message["type"].removeprefix("larder.") for message in shop.received)
        tell("check", what="the messages of the day, in order", ok=types == EXPECTED_MESSAGES)
        listed = shop.http.get("/v1/messages", params={"after": "start", "limit": 100}).json()["items"]
        tell("check", what="the list has the same messages", ok=listed[-len(shop.received) :] == shop.received)
    finally:
        shop.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
