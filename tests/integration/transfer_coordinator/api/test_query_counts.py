"""Every GET of the coordinator takes as many statements with many transfers as with few."""

from __future__ import annotations

import threading

from sqlalchemy import event

from tests.integration.transfer_coordinator.api_world import BODY, World

PATHS = ("/v1/transfers", "/v1/transfers?location_id=A", "/v1/transfers/t-0")


def statements(world: World) -> dict[str, int]:
    """Of the routes' threads: the worker's own go on meanwhile."""
    ran: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_more: object) -> None:
        if not threading.current_thread().name.startswith("larder-"):
            ran.append(statement)

    found: dict[str, int] = {}
    event.listen(world.coordinator.engine, "before_cursor_execute", note)
    try:
        for path in PATHS:
            ran.clear()
            assert world.call("GET", path).status_code == 200
            found[path] = len(ran)
    finally:
        event.remove(world.coordinator.engine, "before_cursor_execute", note)
    return found


def test_a_route_takes_as_many_statements_with_60_transfers_as_with_3(world: World) -> None:
    def create(numbers: range) -> None:
        for number in numbers:
            answer = world.call("POST", "/v1/transfers", BODY | {"transfer_id": f"t-{number}"})
            assert answer.status_code == 202, answer.text

    create(range(3))
    few = statements(world)
    create(range(3, 60))
    assert len(world.call("GET", "/v1/transfers?limit=1000").json()["items"]) == 60
    assert statements(world) == few
