"""Keys that the coordinator does not know are asked for at head office; that never holds up the keys it knows."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

from shared.runtime.http.auth import generate_key
from shared.runtime.http.scopes import Role
from tests.integration.transfer_coordinator.api_world import World
from tests.support.waiting import wait_until

UNKNOWN = 16


def test_known_keys_are_answered_while_unknown_ones_wait_for_a_hanging_head_office(world: World) -> None:
    used, never_used = world.key(Role.MANAGER), world.key(Role.VIEWER)
    assert world.call("GET", "/v1/transfers", key=used).status_code == 200
    assert world.coordinator.catalogue.refresh()
    hanging, mended = threading.Event(), threading.Event()
    before = world.office.before

    def hang(path: str) -> None:
        if path == "/v1/sync/catalogue":
            hanging.set()
            mended.wait(60)
        before(path)

    world.office.before = hang
    try:
        with ThreadPoolExecutor(UNKNOWN + 4) as pool:
            unknown = [pool.submit(world.call, "GET", "/v1/transfers", key=generate_key().text) for _ in range(UNKNOWN)]
            try:
                wait_until(hanging.is_set, what="an unknown key to be asked for")
                for key in (used, never_used, world.coordinator.local_key):
                    answer = pool.submit(world.call, "GET", "/v1/transfers", key=key).result(10)
                    assert answer.status_code == 200
                # What was known two seconds ago is looked up anew, and still waits for nobody.
                world.coordinator.catalogue.keys_changed()
                assert pool.submit(world.call, "GET", "/v1/transfers", key=used).result(10).status_code == 200
                assert not any(each.done() for each in unknown)
            finally:
                mended.set()
            assert {each.result(60).status_code for each in unknown} <= {401, 429}
    finally:
        world.office.before = before


def test_a_failing_timer_is_seen_in_metrics_and_readiness(world: World) -> None:
    assert world.client.get("/readyz").json()["checks"]["timers"] == "ok"
    timers = world.coordinator.runner._timers
    real = timers._jobs["catalogue"]

    def fail() -> None:
        raise LookupError("the table is gone")

    timers._jobs["catalogue"] = real._replace(run=fail)
    timers.run("catalogue")
    ready = world.client.get("/readyz")
    assert ready.status_code == 503
    assert "the table is gone" in ready.json()["checks"]["timers"]
    assert 'larder_timer_failures_total{job="catalogue"} 1.0' in world.client.get("/metrics").text
    timers._jobs["catalogue"] = real
    timers.run("catalogue")
    assert world.client.get("/readyz").json()["checks"]["timers"] == "ok"
