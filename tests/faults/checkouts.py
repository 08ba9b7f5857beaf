"""Checkouts that reserve, confirm, release and let expire while everything is killed, with ledgers of their own.

Nothing here uses our fold: what a reservation must be is added up from what was asked and answered.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final

import httpx

from tests.faults.hostile_group import Target

DAY_SECONDS: Final = 86_400
SOON_SECONDS: Final = 20
"""Long enough for the next request, short enough to expire while others go on."""
MORE_THAN_THERE_IS: Final = 1_000_000
ENDINGS: Final = (
    "confirmed", "confirmed in part", "confirmed in parcels", "kept, then released", "kept, then expired", "released",
    "expired", "stated anew, confirmed", "stated anew, open", "open", "more than there is",
)  # fmt: skip


@dataclass
class LedgerEntry:
    """What a reservation must be. Pieces by product: `quantity` as it is stated now, and what became of it."""

    reservation_id: str
    order_id: str
    revision: int
    state: str
    expires_soon: bool
    quantity: dict[str, int]
    confirmed: dict[str, int]
    released: dict[str, int] = field(default_factory=dict)

    def open(self, product: str) -> int:
        return self.quantity[product] - self.confirmed[product] - self.released.get(product, 0)

    def confirm(self, pieces: dict[str, int], *, keep: bool) -> None:
        for product, number in pieces.items():
            self.confirmed[product] += number
        if not keep:
            self._give_back("CONFIRMED")
        elif not any(map(self.open, self.quantity)):
            self.state = "CONFIRMED"

    def end(self, state: str) -> None:
        """Released or expired: what is open has gone."""
        self._give_back(state)

    def _give_back(self, state: str) -> None:
        self.released = {product: self.quantity[product] - self.confirmed[product] for product in self.quantity}
        self.state = state

    def comparable(self) -> dict[str, Any]:
        lines = {
            product: (pieces, self.confirmed[product], self.released.get(product, 0), self.open(product))
            for product, pieces in self.quantity.items()
        }
        return {
            "reservation_id": self.reservation_id,
            "order_id": self.order_id,
            "revision": self.revision,
            "state": self.state,
            "lines": lines,
        }


def comparable(record: dict[str, Any]) -> dict[str, Any]:
    """A reservation as it was answered, in the shape of `LedgerEntry.comparable`."""
    return {name: record[name] for name in ("reservation_id", "order_id", "revision", "state")} | {
        "lines": {
            line["item_id"]: tuple(line[name] for name in ("quantity", "confirmed", "released", "open"))
            for line in record["lines"]
        }
    }


class Checkout:
    """A checkout at one branch. Each request has a key made before its first try, and is sent until it is answered.

    `allowed`: how many orders it may have begun by now. `reservations` counts the statements that were reserved,
    `refused` the refusals that were recorded, `ended_before_its_turn` what expired before its next request was
    answered.
    """

    def __init__(self, name: str, branch: Target, key: str, products: list[str]) -> None:
        self.name = name
        self.allowed = 0
        self.done = 0
        self.reservations = 0
        self.refused = 0
        self.ended_before_its_turn = 0
        self.ledger: dict[str, LedgerEntry] = {}
        self._branch = branch
        self._key = key
        self._products = products
        self._steps: list[tuple[str, ...]] = []
        self._entry: LedgerEntry | None = None

    def act(self, client: httpx.Client) -> None:
        """Send the next request of the present order; where its orders are done, look at what there is."""
        if not self._steps:
            if self.done >= self.allowed:
                answer = self._branch.request(client, "GET", "/v1/reservations", self._key, params={"limit": 20})
                assert answer.status_code in (200, 429, 503), answer.text[:500]
                return
            self._steps = self._plan(self.done)
            self._entry = None
        if self._send(client, self._steps[0]):
            del self._steps[:1]
            if not self._steps:
                self.done += 1

    def _plan(self, number: int) -> list[tuple[str, ...]]:
        match ENDINGS[number % len(ENDINGS)]:
            case "confirmed":
                return [("reserve",), ("confirm all",)]
            case "confirmed in part":
                return [("reserve",), ("confirm part", "release")]
            case "confirmed in parcels":
                return [("reserve",), ("confirm part", "keep"), ("confirm all",)]
            case "kept, then released":
                return [("reserve",), ("confirm part", "keep"), ("release",)]
            case "kept, then expired":
                return [("reserve", "soon"), ("confirm part", "keep"), ("expire",)]
            case "released":
                return [("reserve",), ("release",)]
            case "expired":
                return [("reserve", "soon"), ("expire",)]
            case "stated anew, confirmed":
                return [("reserve",), ("restate",), ("confirm all",)]
            case "stated anew, open":
                return [("reserve",), ("restate",)]
            case "open":
                return [("reserve",)]
            case _:
                return [("reserve", "too much")]

    def _send(self, client: httpx.Client, step: tuple[str, ...]) -> bool:
        """One try of one step; whether it was answered."""
        entry = self._entry
        match step:
            case ("reserve", *how):
                return self._reserve(client, 1, how)
            case ("restate",):
                return self._reserve(client, 2, [])
            case ("confirm all",):
                assert entry is not None
                pieces = {product: entry.open(product) for product in entry.quantity if entry.open(product)}
                return self._change(client, "confirm", {}, lambda: entry.confirm(pieces, keep=False))
            case ("confirm part", rest):
                assert entry is not None
                # One piece of one product at least stays, or the whole would be confirmed.
                part = {product: (pieces + 1) // 2 for product, pieces in entry.quantity.items()}
                lines = [{"item_id": product, "quantity": pieces} for product, pieces in part.items()]
                body = {"lines": lines, "rest": rest}
                return self._change(client, "confirm", body, lambda: entry.confirm(part, keep=rest == "keep"))
            case ("release",):
                assert entry is not None
                return self._change(client, "release", {"reason": "changed-mind"}, lambda: entry.end("RELEASED"))
            case _:
                assert entry is not None
                if entry.state == "ACTIVE":
                    entry.end("EXPIRED")
                return True

    def _reserve(self, client: httpx.Client, revision: int, how: list[str]) -> bool:
        order_id = f"checkout-{self.name}-{self.done}"
        random = Random(f"{order_id}-{revision}")
        pieces = {product: random.randint(2, 5) for product in random.sample(self._products, random.randint(1, 3))}
        if "too much" in how:
            pieces[next(iter(pieces))] = MORE_THAN_THERE_IS
        body = {
            "order_id": order_id,
            "revision": revision,
            "lines": [{"item_id": product, "quantity": number} for product, number in pieces.items()],
            "expires_in": SOON_SECONDS if "soon" in how else DAY_SECONDS,
        }
        answer = self._post(client, "/v1/reservations", f"{order_id}-r{revision}", body)
        if answer.status_code in (429, 503):
            return False
        if answer.status_code == 409:
            told = answer.json()
            assert (told["code"], told["recorded"]) == ("inventory-unavailable", "yes"), told
            self.refused += 1
            if revision == 1:
                # Nothing was reserved, so there is nothing more to do for this order; else the old one stands.
                self._steps = self._steps[:1]
            return True
        assert answer.status_code == 201, answer.text[:500]
        assert "too much" not in how, answer.text[:500]
        self.reservations += 1
        told = answer.json()
        self._entry = LedgerEntry(
            reservation_id=told["reservation_id"],
            order_id=order_id,
            revision=revision,
            state="ACTIVE",
            expires_soon="soon" in how,
            quantity=pieces,
            confirmed=dict.fromkeys(pieces, 0),
        )
        before = self.ledger.setdefault(order_id, self._entry)
        assert before.reservation_id == told["reservation_id"], "an order has two reservations"
        self.ledger[order_id] = self._entry
        return True

    def _change(self, client: httpx.Client, verb: str, body: dict[str, Any], made: Callable[[], None]) -> bool:
        entry = self._entry
        assert entry is not None
        path = f"/v1/reservations/{entry.reservation_id}/{verb}"
        answer = self._post(client, path, f"{entry.order_id}-step-{len(self._steps)}", body)
        if answer.status_code in (429, 503):
            return False
        if answer.status_code == 409:
            # It expired before this was sent for the first time, or while its branch was away.
            told = answer.json()
            assert entry.expires_soon, told
            assert (told["code"], told["state"]) == ("reservation-ended", "EXPIRED"), told
            self.ended_before_its_turn += 1
            entry.end("EXPIRED")
            return True
        assert answer.status_code == 200, answer.text[:500]
        made()
        return True

    def _post(self, client: httpx.Client, path: str, key: str, body: dict[str, Any]) -> httpx.Response:
        return self._branch.request(
            client, "POST", path, self._key, json=body, headers={"Idempotency-Key": f"acceptance-{self.name}-{key}"}
        )

    def confirmed(self) -> dict[str, int]:
        """How many pieces of each product left, by what was answered."""
        return self._sum(lambda entry, product: entry.confirmed[product])

    def reserved(self) -> dict[str, int]:
        """How many pieces of each product are reserved, by what was answered; none is left out."""
        return dict.fromkeys(self._products, 0) | self._sum(
            lambda entry, product: entry.open(product) if entry.state == "ACTIVE" else 0
        )

    def _sum(self, figure: Callable[[LedgerEntry, str], int]) -> dict[str, int]:
        found: dict[str, int] = {}
        for entry in self.ledger.values():
            for product in entry.quantity:
                found[product] = found.get(product, 0) + figure(entry, product)
        return found

    @property
    def expired(self) -> int:
        return sum(entry.state == "EXPIRED" for entry in self.ledger.values())

    def summary(self) -> dict[str, int]:
        """For the report: how many by state, and what was refused."""
        states = dict(Counter(entry.state for entry in self.ledger.values()))
        return states | {"refused": self.refused, "expired before its turn": self.ended_before_its_turn}

    def expected(self) -> dict[str, dict[str, Any]]:
        """The reservations as every answer must have them, by id."""
        return {entry.reservation_id: entry.comparable() for entry in self.ledger.values()}


def judge_reservations(client: httpx.Client, checkout: Checkout, service: Target, key: str, **where: str) -> None:
    """What a service answers of a checkout's reservations, and of what is reserved of the stock, is the ledger."""
    found = {each["reservation_id"]: comparable(each) for each in _all(client, service, "/v1/reservations", key, where)}
    assert found == checkout.expected(), f"the reservations of {checkout.name} at {service.name}"
    stock = _all(client, service, "/v1/stock", key, where)
    reserved = {each["item_id"]: each["reserved"] for each in stock}
    assert reserved == checkout.reserved(), f"what is reserved at {checkout.name} by {service.name}"


def _all(client: httpx.Client, service: Target, path: str, key: str, where: dict[str, str]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    params: dict[str, Any] = {"limit": 100, **where}
    while True:
        answer = service.request(client, "GET", path, key, params=params)
        assert answer.status_code == 200, answer.text
        page = answer.json()
        found += page["items"]
        if page["next"] is None:
            return found
        params["after"] = page["next"]
