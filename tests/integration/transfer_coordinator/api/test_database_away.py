"""The coordinator while nothing reaches its database: every route answers 503, and all goes on by itself afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from httpx2 import Response

from tests.integration.transfer_coordinator.api_world import BODY, World, a_world
from tests.support.tcp_forwarder import TcpForwarder, forwarder_to
from tests.support.waiting import wait_until


@pytest.fixture
def line(coordinator_url: str) -> Iterator[TcpForwarder]:
    with forwarder_to(coordinator_url) as forwarder:
        yield forwarder


def every_route(world: World, transfer_id: str) -> dict[tuple[str, str], Response]:
    one = f"/v1/transfers/{transfer_id}"
    return {
        (method, path): world.call(method, path, body)
        for method, path, body in (
            ("GET", "/v1/transfers", None),
            ("GET", one, None),
            ("POST", "/v1/transfers", BODY | {"transfer_id": transfer_id}),
            ("POST", f"{one}/cancel", None),
        )
    }


def test_every_route_answers_503_and_goes_on(coordinator_url: str, line: TcpForwarder, tmp_path: Path) -> None:
    far = line.url_of(coordinator_url)
    with a_world(far, tmp_path) as world:
        transfer_id = world.create().json()["transfer_id"]
        line.cut()
        away, ready = every_route(world, transfer_id), world.client.get("/readyz")
        line.mend()
        for (method, path), answer in away.items():
            assert answer.status_code == 503, (method, path, answer.text)
            assert int(answer.headers["retry-after"]) > 0, (method, path)
            if method == "POST":
                assert answer.json()["recorded"] in {"no", "unknown"}, path
        assert ready.status_code == 503
        wait_until(lambda: world.client.get("/readyz").status_code == 200, 30, what="the coordinator to be ready again")
        for (method, path), answer in every_route(world, transfer_id).items():
            assert answer.status_code < 500, (method, path, answer.text)


def test_it_stops_while_its_database_is_away(coordinator_url: str, line: TcpForwarder, tmp_path: Path) -> None:
    far = line.url_of(coordinator_url)
    with a_world(far, tmp_path / "cut") as world:
        transfer_id = world.create().json()["transfer_id"]
        line.cut()
    line.mend()
    with a_world(far, tmp_path / "again") as world:
        assert world.call("GET", f"/v1/transfers/{transfer_id}").status_code == 200
