"""Orders told to head office, asked of branches and answered by their logs: every service a process of its own."""

from __future__ import annotations

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random
from typing import Any

import httpx

from shared.orders.cloud_events import InboundEvent
from shared.orders.order_event_inputs import asked_key_of
from tests.support.order_events import answers_in
from tests.support.order_group import ORDERS, A, B, OrderGroup, larder_json
from tests.support.signed_shop import order_event
from tests.support.waiting import wait_until

MILK = {"milk": 5}


def asked(record: Any) -> list[tuple[str, str, str | None]]:
    return [(each["kind"].removeprefix("order."), each["location_id"], each["outcome"]) for each in record["asked"]]


def test_orders_of_a_group_whose_branch_is_away_for_a_while(tmp_path: Path) -> None:
    with OrderGroup(tmp_path, {A: 20, B: 30}) as group:
        shop = group.shop

        def told(kind: str, order_id: str, **more: Any) -> str | None:
            answer = shop.tell(kind, order_id, **more)
            assert answer.status_code == 202, answer.text
            place: str = answer.json()["location_id"]
            return place

        # The branch with enough reserves it; it leaves in two parcels.
        assert told("placed", "parcels", lines=MILK) == B
        group.settled("parcels", "RESERVED")
        assert told("shipped", "parcels", lines={"milk": 2}) == B
        group.settled("parcels", "SHIPPED")
        assert group.stock()[B] == (28, 3)
        assert told("shipped", "parcels") == B
        record = group.settled("parcels", "SHIPPED")
        assert asked(record) == [("placed", B, "reserved"), ("shipped", B, "shipped"), ("shipped", B, "shipped")]
        assert group.stock()[B] == (25, 0)
        # Stated anew it stays where it is, though another has more.
        assert told("placed", "anew", lines={"milk": 20}, prefer=[A]) == A
        group.settled("anew", "RESERVED")
        assert told("placed", "anew", lines={"milk": 4}, revision=2, prefer=[B]) == A
        assert asked(group.settled("anew", "RESERVED")) == [("placed", A, "reserved")] * 2
        assert group.stock()[A] == (20, 4)

        # A is away, and sells what head office believes it has.
        group.branches[A].stop()
        larder_json("branch", "record", "waste", "milk", "8", "--reason", "spoiled", "--dir", group.branches[A].folder)
        assert told("placed", "elsewhere", lines={"milk": 10}, prefer=[A]) == A
        assert told("placed", "cancelled", lines={"milk": 3}, prefer=[A]) == A
        assert told("cancelled", "cancelled", reason="too late") == A
        assert told("placed", "only here", lines={"milk": 15}, location_id=A) == A
        waiting = group.order("elsewhere")
        assert (waiting["state"], waiting["waits_for"]) == ("ASKED", A)
        assert asked(waiting) == [("placed", A, None)]
        assert [each["order_id"] for each in group.call("GET", ORDERS, state="ASKED")["items"]] == [
            "cancelled", "elsewhere", "only here",
        ]  # fmt: skip
        # What is told of others goes on meanwhile, and nothing follows from the silence.
        assert told("placed", "beside", lines={"milk": 1}) == B
        group.settled("beside", "RESERVED")
        assert asked(group.order("elsewhere")) == [("placed", A, None)]

        # It comes back.
        group.branches[A].serve()
        assert asked(group.settled("elsewhere", "RESERVED")) == [
            ("placed", A, "unavailable"), ("placed", B, "reserved"),
        ]  # fmt: skip
        first, last = asked(group.settled("cancelled", "CANCELLED"))
        assert (first, last) == (("placed", A, "reserved"), ("cancelled", A, "released"))
        only = group.settled("only here", "UNAVAILABLE")
        assert asked(only) == [("placed", A, "unavailable")]
        assert only["told"][0]["short"] == [{"item_id": "milk", "unit": "l", "asked": 15, "available": None}]
        assert group.stock() == {A: (12, 4), B: (25, 11)}

        # All that is left is given back.
        for order_id, place in (("anew", A), ("elsewhere", B), ("beside", B)):
            assert told("cancelled", order_id) == place
            group.settled(order_id, "CANCELLED")
        assert group.stock() == {A: (12, 0), B: (25, 0)}
        group.judge()


class HostileDay:
    """A shop that sends each event until it is answered, while services are killed.

    `answers` are those to each event by its id.
    """

    def __init__(self, group: OrderGroup) -> None:
        self.group = group
        self.answers: dict[str, Any] = {}
        self.events: dict[str, dict[str, Any]] = {}
        self.cut_off = 0
        self.done = threading.Event()
        self.change = threading.Condition()

    def send(self, event: dict[str, Any]) -> None:
        """Send it until it is answered."""
        while not self.done.is_set():
            try:
                answer = self.group.shop.send(event)
            except httpx.TransportError:
                self.cut_off += 1
                self.done.wait(0.02)
                continue
            if answer.status_code in (429, 503):
                self.done.wait(0.02)
                continue
            if answer.status_code == 409:
                # Nobody could be asked for the order, so there is nothing to ship; nothing of this is kept.
                assert answer.json()["code"] == "unknown-order", answer.text
                return
            assert answer.status_code in (200, 202), answer.text
            with self.change:
                before = self.answers.setdefault(event["id"], answer.json())
                assert before == answer.json(), "the same event was answered otherwise"
                self.events[event["id"]] = event
                self.change.notify_all()
            return

    def order(self, number: int) -> None:
        """One order with what follows."""
        order_id = f"{number:03}"
        self.send(order_event("placed", order_id, id=f"{order_id}-1", lines=MILK, prefer=[(A, B)[number % 2]]))
        match number % 4:
            case 0:
                self.send(order_event("cancelled", order_id, id=f"{order_id}-2"))
            case 1:
                self.send(order_event("shipped", order_id, id=f"{order_id}-2", lines={"milk": 2}))
            case 2:
                self.send(order_event("placed", order_id, id=f"{order_id}-2", revision=2, lines={"milk": 3}))

    def wait_for(self, count: int) -> None:
        """Until so many events have been answered in all; the caller goes on at that very moment."""
        with self.change:
            assert self.change.wait_for(lambda: len(self.answers) >= count, 60)


ROUND = 32


def test_every_order_that_was_accepted_is_answered_whoever_is_killed(tmp_path: Path) -> None:
    random = Random(9)
    with OrderGroup(tmp_path, {A: 250, B: 250}) as group, ThreadPoolExecutor(4) as pool:
        day = HostileDay(group)
        try:
            for number, victim in enumerate(
                (group.office, group.branches[A], group.office, group.branches[B], group.office, group.branches[A])
            ):
                before = len(day.answers)
                sent = [pool.submit(day.order, each) for each in range(number * ROUND, (number + 1) * ROUND)]
                day.wait_for(before + random.randint(1, 25))
                victim.kill()
                victim.serve()
                for each in sent:
                    each.result(60)
        finally:
            day.done.set()
        wait_until(lambda: not group.call("GET", ORDERS, state="ASKED")["items"], 60, what="all orders")
        group.judge()
        _judge(group, day)


def _judge(group: OrderGroup, day: HostileDay) -> None:
    answered = {place: answers_in(group.log(place)) for place in group.branches}
    records = list(group.orders())
    asks: set[tuple[str, str]] = set()
    for record in records:
        assert all(each["outcome"] for each in record["told"]), record
        for each in record["asked"]:
            place, key = each["location_id"], _key(each["event_id"])
            asks.add((place, key))
            # Its own log says so, in one command: `answers_in` refuses a second one under the key.
            assert answered[place][key].outcome == each["outcome"], each
    assert asks == {(place, key) for place, found in answered.items() for key in found}
    first = {
        each["event_id"]: next(ask["location_id"] for ask in record["asked"] if ask["number"] == each["number"])
        for record in records
        for each in record["told"]
        if any(ask["number"] == each["number"] for ask in record["asked"])
    }
    for event_id, answer in day.answers.items():
        assert first.get(event_id) == answer.get("location_id"), event_id
        again = group.shop.send(day.events[event_id])
        assert again.json() == answer
    told = {each["event_id"] for record in records for each in record["told"]}
    assert told == day.answers.keys()
    held = group.call("GET", "/v1/reservations", state="ACTIVE", limit=1_000)["items"]
    assert max(Counter(each["order_id"] for each in held).values()) == 1
    assert {each["order_id"] for each in held}.isdisjoint(
        record["order_id"] for record in records if record["cancelled"]
    )
    reserved = Counter[str]()
    for each in held:
        reserved[each["location_id"]] += sum(line["open"] for line in each["lines"])
    stock = group.stock()
    assert {place: figures[1] for place, figures in stock.items()} == {place: reserved[place] for place in stock}
    # What the test is about did happen.
    assert day.cut_off > 0
    outcomes = Counter(each["outcome"] for record in records for each in record["asked"])
    assert {"reserved", "released", "shipped", "unavailable"} <= outcomes.keys(), outcomes


def _key(event_id: str) -> str:
    event = order_event("placed", "", id=event_id)
    return asked_key_of(
        "shop", InboundEvent(id=event_id, source=event["source"], type=event["type"], time=None, data=None)
    )
