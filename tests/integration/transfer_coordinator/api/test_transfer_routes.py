"""The routes, with the real threads behind them and head office as a model whose sites answer at once."""

from __future__ import annotations

import json
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from pydantic import SecretStr

from shared.catalogue_messages import CatalogueItem, CatalogueKey, CatalogueLocation
from shared.runtime.http.auth import generate_key
from shared.runtime.http.scopes import Role
from tests.integration.transfer_coordinator.api_world import BODY, World
from tests.integration.transfer_coordinator.conftest import migrated
from tests.integration.transfer_coordinator.office_model import IN, OUT, OfficeModel
from tests.support.waiting import wait_until
from transfer_coordinator.main import build
from transfer_coordinator.settings import CoordinatorSettings


def test_a_transfer_from_wish_to_end(world: World) -> None:
    answer = world.create(transfer_id="t-1")
    assert answer.status_code == 202
    assert answer.headers["location"] == "/v1/transfers/t-1"
    document = answer.json()
    assert (document["state"], document["end_reason"], document["overdue"]) == ("COMPLETED", "received", False)
    assert document["lines"] == [
        {"line": 1, "item_id": "milk", "unit": "kg", "quantity": 2.5, "sent": 2.5, "received": 2.5, "lost": 0}
    ]
    shown = world.call("GET", "/v1/transfers/t-1").json()
    assert [(each["state"], each.get("asked")) for each in shown["journal"]] == [
        ("REQUESTED", None), ("OUT_PENDING", "out"), ("IN_PENDING", "in"), ("COMPLETED", None),
    ]  # fmt: skip
    assert [each["type"] for each in shown["facts"]] == ["TRANSFER_OUT", "TRANSFER_IN"]
    assert shown["why"].startswith("All that left A")


def test_the_same_request_again_is_the_same_transfer(world: World) -> None:
    key = {"Idempotency-Key": "monday-1"}
    first = world.call("POST", "/v1/transfers?wait=20", BODY, **key)
    again = world.call("POST", "/v1/transfers", BODY, **key)
    # written differently, it is the same content
    summed = BODY | {"lines": [{"item_id": "milk", "quantity": "1.500"}, {"item_id": "milk", "quantity": 1}]}
    once_more = world.call("POST", "/v1/transfers", summed, **key)
    assert first.json() == again.json() == once_more.json()
    assert [each.status_code for each in (first, again, once_more)] == [202] * 3
    other = world.call("POST", "/v1/transfers", BODY | {"lines": [{"item_id": "milk", "quantity": 3}]}, **key)
    assert (other.status_code, other.json()["code"]) == (409, "key-reused")
    elsewhere = world.call("POST", "/v1/transfers", BODY | {"transfer_id": "mine"}, **key)
    assert (elsewhere.status_code, elsewhere.json()["code"]) == (409, "key-reused")
    assert world.office.log("A") == ["OUT"]


def test_without_any_key_every_request_is_another_transfer(world: World) -> None:
    assert world.create().json()["transfer_id"] != world.create().json()["transfer_id"]


def test_waiting_is_bounded_and_tells_how_it_stands(world: World) -> None:
    world.alive = False
    answer = world.call("POST", "/v1/transfers?wait=0.3", BODY)
    assert (answer.status_code, answer.json()["state"]) == (202, "OUT_PENDING")
    assert "A is instructed to send" in answer.json()["why"]


def test_many_callers_each_hear_of_their_own(world: World) -> None:
    world.key(Role.MANAGER)
    found: dict[int, Any] = {}

    def caller(number: int) -> None:
        found[number] = world.create(transfer_id=f"t{number}", lines=[{"item_id": "milk", "quantity": 1}]).json()

    threads = [threading.Thread(target=caller, args=(number,)) for number in range(24)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert {number: each["transfer_id"] for number, each in found.items()} == {n: f"t{n}" for n in range(24)}
    assert {each["state"] for each in found.values()} == {"COMPLETED"}


def test_cancel(world: World) -> None:
    world.alive = False
    world.call("POST", "/v1/transfers", BODY | {"transfer_id": "t1"})
    answer = world.call("POST", "/v1/transfers/t1/cancel", {})
    assert (answer.status_code, answer.json()["state"]) == (202, "OUT_CANCEL_PENDING")
    again = world.call("POST", "/v1/transfers/t1/cancel")
    assert again.status_code == 202
    world.alive = True
    ended = world.call("GET", "/v1/transfers/t1?wait=20").json()
    assert (ended["state"], ended["end_reason"]) == ("REJECTED", "cancelled")
    late = world.call("POST", "/v1/transfers/t1/cancel")
    assert (late.status_code, late.json()["code"], late.json()["state"]) == (409, "transfer-ended", "REJECTED")
    for _ in range(2):
        repeated = world.call("POST", "/v1/transfers/t1/cancel", **{"Idempotency-Key": "c-1"})
        assert (repeated.status_code, repeated.json()["state"]) == (202, "REJECTED"), "its first answer was lost"


def test_cancel_of_what_was_received(world: World) -> None:
    world.alive = False
    world.call("POST", "/v1/transfers", BODY | {"transfer_id": "t1"})
    wait_until(lambda: world.office.asked, what="the instruction")
    world.office.work("A")
    wait_until(lambda: len(world.office.asked) >= 2, what="the second instruction")
    world.office.sites["B"].record("t1", IN, "milk", 1_000)
    world.office.work("A")
    world.office.sites["B"].shipped = 1
    wait_until(
        lambda: world.call("GET", "/v1/transfers/t1").json()["lines"][0]["received"] == 1,
        what="the receipt to be heard",
    )
    answer = world.call("POST", "/v1/transfers/t1/cancel")
    assert (answer.status_code, answer.json()["code"]) == (409, "transfer-already-received")
    assert "received a part" in world.call("GET", "/v1/transfers/t1").json()["why"]


def test_the_list(world: World) -> None:
    for number in range(5):
        world.create(transfer_id=f"t{number}", destination="B" if number % 2 else "C")
    world.alive = False
    world.call("POST", "/v1/transfers", BODY | {"transfer_id": "open"})
    first = world.call("GET", "/v1/transfers?limit=4").json()
    assert [each["transfer_id"] for each in first["items"]] == ["open", "t4", "t3", "t2"]
    rest = world.call("GET", f"/v1/transfers?limit=4&after={first['next']}").json()
    assert ([each["transfer_id"] for each in rest["items"]], rest["next"]) == (["t1", "t0"], None)
    listed = lambda query: [each["transfer_id"] for each in world.call("GET", f"/v1/transfers?{query}").json()["items"]]  # noqa: E731
    assert listed("state=OUT_PENDING") == ["open"]
    assert listed("location_id=C") == ["t4", "t2", "t0"]
    assert listed("state=COMPLETED&location_id=B") == ["t3", "t1"]
    assert listed("state=UNADOPTABLE") == []
    for after in ("no", "bm8", "WyJhIl0"):
        bad = world.call("GET", f"/v1/transfers?after={after}")
        assert (bad.status_code, bad.json()["code"]) == (400, "bad-cursor")


def test_a_stray_is_listed(world: World) -> None:
    world.office.sites["A"].record("lost", OUT, "milk", 1_000)
    wait_until(lambda: world.call("GET", "/v1/transfers").json()["items"], what="the stray")
    (item,) = world.call("GET", "/v1/transfers?state=UNADOPTABLE").json()["items"]
    assert (item["transfer_id"], item["state"]) == ("lost", "UNADOPTABLE")
    assert "TRANSFER_OUT at A" in item["why"]


def test_overdue_is_told(world: World) -> None:
    world.alive = False
    deadline = (datetime.now(UTC) + timedelta(seconds=1)).isoformat()
    world.call("POST", "/v1/transfers", BODY | {"transfer_id": "t1", "deadline": deadline})
    wait_until(
        lambda: world.call("GET", "/v1/transfers/t1").json()["state"] == "OUT_CANCEL_PENDING", what="the deadline"
    )
    assert world.call("GET", "/v1/transfers/t1").json()["overdue"] is True
    again = world.call("POST", "/v1/transfers", BODY | {"transfer_id": "t1", "deadline": deadline})
    assert again.status_code == 202  # the same request, though its deadline is over now
    late = world.call("POST", "/v1/transfers", BODY | {"transfer_id": "t2", "deadline": deadline})
    assert (late.status_code, late.json()["code"]) == (422, "deadline-passed")


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"mode": "shipped"}, 422, "mode-not-offered"),
        ({"mode": "teleported"}, 422, "invalid-request"),
        ({"mode": None}, 422, "invalid-request"),
        ({"destination": "A"}, 422, "same-location"),
        ({"destination": "Z"}, 422, "unknown-location"),
        ({"source": "\u200bA"}, 422, "invalid-request"),
        ({"source": 7}, 422, "invalid-request"),
        ({"lines": []}, 422, "invalid-request"),
        ({"lines": [{"item_id": "milk", "quantity": 1}] * 201}, 422, "invalid-request"),
        ({"lines": [{"item_id": "mlik", "quantity": 1}]}, 422, "unknown-item"),
        ({"lines": [{"item_id": "mi\u200blk", "quantity": 1}]}, 422, "invalid-request"),
        ({"lines": [{"item_id": "cafe\u0301", "quantity": 1}]}, 422, "invalid-request"),
        ({"lines": [{"item_id": "milk"}]}, 422, "invalid-request"),
        ({"lines": [{"item_id": "milk", "quantity": 0}]}, 422, "invalid-request"),
        ({"lines": [{"item_id": "milk", "quantity": -1}]}, 422, "invalid-request"),
        ({"lines": [{"item_id": "milk", "quantity": 0.0001}]}, 422, "invalid-request"),
        ({"lines": [{"item_id": "milk", "quantity": True}]}, 422, "invalid-request"),
        ({"lines": [{"item_id": "milk", "quantity": "one"}]}, 422, "invalid-request"),
        ({"lines": [{"item_id": "milk", "quantity": {"n": 1}}]}, 422, "invalid-request"),
        ({"lines": [{"item_id": "milk", "quantity": "١"}]}, 422, "invalid-request"),
        ({"lines": [{"item_id": "milk", "quantity": "12345678901234567890123456"}]}, 422, "invalid-request"),
        ({"lines": [{"item_id": "milk", "quantity": 10**9}] * 2}, 422, "invalid-request"),
        ({"lines": [{"item_id": "milk", "quantity": 1, "colour": "red"}]}, 422, "invalid-request"),
        ({"transfer_id": "a/b"}, 422, "invalid-request"),
        ({"transfer_id": ""}, 422, "invalid-request"),
        ({"transfer_id": "x" * 65}, 422, "invalid-request"),
        ({"deadline": "2020-01-01T00:00:00Z"}, 422, "deadline-passed"),
        ({"deadline": "2099-01-01T00:00:00"}, 422, "invalid-request"),
        ({"colour": "red"}, 422, "invalid-request"),
    ],
)
def test_bad_wishes(world: World, change: dict[str, Any], status: int, code: str) -> None:
    answer = world.call("POST", "/v1/transfers", BODY | change)
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["hint"]
    assert world.call("GET", "/v1/transfers").json()["items"] == []


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"[]", 422),
        (b"{", 400),
        (b'{"source":"A","source":"B"}', 400),
        (json.dumps(BODY).replace("2.5", "NaN").encode(), 400),
        (json.dumps(BODY).replace("2.5", "1e400").encode(), 422),
        (json.dumps(BODY).replace("2.5", "1e2").encode(), 422),
        (json.dumps(BODY).replace('"A"', '"A\\u0000"').encode(), 400),
        (json.dumps(BODY).replace('"A"', '"\\ud800"').encode(), 400),
        (b"[" * 100_000, 400),
        (b'"' + b"x" * 300_000 + b'"', 413),
    ],
)
def test_bad_bodies(world: World, body: bytes, status: int) -> None:
    answer = world.call("POST", "/v1/transfers", body)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"


def test_an_item_just_made_is_known_at_once(world: World) -> None:
    world.create()
    world.office.publish(item=CatalogueItem(item_id="figs", name="figs", unit="kg"))
    world.office.sites["A"].stock["figs"] = 5_000
    assert world.create(lines=[{"item_id": "figs", "quantity": 1}]).json()["state"] == "COMPLETED"
    near = world.create(lines=[{"item_id": "fig", "quantity": 1}]).json()
    assert (near["code"], near["nearest"]) == ("unknown-item", ["figs"])


def test_the_nearest_locations_of_a_mistyped_one_are_named(world: World) -> None:
    near = world.create(destination="b").json()
    assert (near["code"], near["nearest"]) == ("unknown-location", ["B"])


def test_who_may_do_what(world: World) -> None:
    world.create(transfer_id="t1")
    viewer, branch = world.key(Role.VIEWER), world.key(Role.STAFF, "C")
    assert world.call("GET", "/v1/transfers/t1", key=viewer).status_code == 200
    refused = world.call("POST", "/v1/transfers", BODY, key=viewer)
    assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")
    assert world.call("POST", "/v1/transfers/t1/cancel", key=viewer).status_code == 403
    # a key of one location has to do with the transfers of that location only
    for answer in (
        world.call("GET", "/v1/transfers/t1", key=branch),
        world.call("POST", "/v1/transfers", BODY, key=branch),
        world.call("POST", "/v1/transfers/t1/cancel", key=branch),
        world.call("GET", "/v1/transfers?location_id=A", key=branch),
    ):
        assert (answer.status_code, answer.json()["code"]) == (403, "wrong-location")
    assert world.call("GET", "/v1/transfers", key=branch).json()["items"] == []
    assert world.call("POST", "/v1/transfers", BODY | {"source": "C"}, key=branch).status_code == 202
    assert len(world.call("GET", "/v1/transfers", key=branch).json()["items"]) == 1
    stranger = generate_key().text
    assert world.call("GET", "/v1/transfers", key=stranger).status_code == 401
    assert world.client.get("/v1/transfers").status_code == 401


def test_a_revoked_key_is_refused_at_the_next_contact(world: World) -> None:
    text = world.key(Role.STAFF)
    assert world.call("GET", "/v1/transfers", key=text).status_code == 200
    made = world.keys[f"{Role.STAFF}-None"]
    world.office.publish(
        key=CatalogueKey(key_id=made.key_id, key_hash=made.digest, role=Role.STAFF, revoked_at=1_740_000_000_000_000)
    )
    world.coordinator.catalogue.refresh()
    assert world.call("GET", "/v1/transfers", key=text).status_code == 401


def test_the_text_before_a_rotation_is_good_for_its_overlap_also_after_a_restart(world: World) -> None:
    old = world.key(Role.STAFF)
    made = world.keys[f"{Role.STAFF}-None"]
    new = generate_key(made.key_id)
    now = int(datetime.now(UTC).timestamp() * 1_000_000)
    for until, expected in ((now + 60_000_000, [200, 200]), (now - 1, [401, 200])):
        world.office.publish(
            key=CatalogueKey(
                key_id=new.key_id, key_hash=new.digest, role=Role.STAFF, earlier_texts=f"{made.digest}:{until}"
            )
        )
        world.coordinator.catalogue.refresh()
        assert [world.call("GET", "/v1/transfers", key=each).status_code for each in (old, new.text)] == expected
        world.coordinator.catalogue._known = None  # as after a restart: from the database
        world.coordinator.catalogue.keys_changed()
        assert [world.call("GET", "/v1/transfers", key=each).status_code for each in (old, new.text)] == expected


def test_head_office_restored_its_catalogue_is_read_anew(world: World) -> None:
    world.create()
    key = world.key(Role.MANAGER)
    before = world.coordinator.catalogue.known()
    world.office.catalogue.clear()
    world.office._digest = bytes(32)
    made = world.keys[f"{Role.MANAGER}-None"]
    world.office.publish(location=CatalogueLocation(location_id="A", name="A", timezone="UTC", day_start=0))
    world.office.publish(key=CatalogueKey(key_id=made.key_id, key_hash=made.digest, role=Role.MANAGER))
    assert world.coordinator.catalogue.refresh() is True
    after = world.coordinator.catalogue.known()
    assert (sorted(before.locations), sorted(after.locations)) == (["A", "B", "C"], ["A"])
    assert after.items == {}
    assert world.call("GET", "/v1/transfers", key=key).status_code == 200


def test_known_without_head_office(world: World, coordinator_url: str, tmp_path: Path) -> None:
    """A coordinator started while head office is away knows its callers from its database, and takes wishes down."""
    key = world.key(Role.MANAGER)
    world.create()
    away = OfficeModel()
    away.down = True
    settings = CoordinatorSettings(
        dir=tmp_path, head_office="http://office", key=SecretStr(generate_key().text),
        database_url=SecretStr(coordinator_url),
    )  # fmt: skip
    built = build(settings, transport=away.transport())
    with TestClient(built.app) as client:
        answer = client.post("/v1/transfers", json=BODY, headers={"Authorization": f"Bearer {key}"})
        assert (answer.status_code, answer.json()["state"]) == (202, "OUT_PENDING")
        assert client.get("/readyz").status_code == 200
        unknown = client.post("/v1/transfers", json=BODY | {"source": "Z"}, headers={"Authorization": f"Bearer {key}"})
        assert unknown.json()["code"] == "unknown-location"


def test_nothing_known_yet(postgres_url_factory: Any, tmp_path: Path) -> None:
    office = OfficeModel()
    office.down = True
    own = generate_key().text
    settings = CoordinatorSettings(
        dir=tmp_path, head_office="http://office", key=SecretStr(own),
        database_url=SecretStr(postgres_url_factory(migrated)),
    )  # fmt: skip
    with TestClient(build(settings, transport=office.transport()).app) as client:
        answer = client.post("/v1/transfers", json=BODY, headers={"Authorization": f"Bearer {own}"})
        assert (answer.status_code, answer.json()["code"]) == (503, "no-catalogue")
        ready = client.get("/readyz")
        assert (ready.status_code, ready.json()["checks"]["catalogue"]) == (
            503,
            "nothing is known of the group: head office was not reached yet",
        )


def test_docs_metrics_and_problems(world: World) -> None:
    world.create()
    assert world.client.get("/docs").status_code == 200
    assert "transfer-already-received" in world.client.get("/problems").text
    document = world.client.get("/openapi.json").json()
    assert set(document["paths"]["/v1/transfers"]) == {"get", "post"}
    metrics = world.client.get("/metrics").text
    assert 'larder_transfers_ended_total{state="COMPLETED"} 1.0' in metrics
    assert "larder_head_office_reachable 1.0" in metrics


def test_without_threads_a_request_has_its_round_done(coordinator_url: str, tmp_path: Path) -> None:
    """As in the simulation, and for commands at a terminal: nothing runs but what is called."""
    office = OfficeModel(A={"milk": 100_000}, B={})
    for name in ("A", "B"):
        office.publish(location=CatalogueLocation(location_id=name, name=name, timezone="UTC", day_start=240))
    office.publish(item=CatalogueItem(item_id="milk", name="milk", unit="kg"))
    own = generate_key().text
    settings = CoordinatorSettings(
        dir=tmp_path, head_office="http://office", key=SecretStr(own), database_url=SecretStr(coordinator_url)
    )
    built = build(settings, transport=office.transport())
    client = TestClient(built.app)  # not entered: no lifespan, no threads
    headers = {"Authorization": f"Bearer {own}"}
    assert client.post("/v1/transfers", json=BODY | {"transfer_id": "t1"}, headers=headers).status_code == 202
    for _ in range(4):
        built.worker.step()
        office.work()
    assert client.get("/v1/transfers/t1", headers=headers).json()["state"] == "COMPLETED"
    built.close()
