"""The coordinator reads no body before it knows the key."""

from __future__ import annotations

from tests.integration.transfer_coordinator.api_world import World
from tests.support.unread_bodies import read_without_a_key, routes_with_a_body


def test_no_body_is_read_without_a_key(world: World) -> None:
    assert ("POST", "/v1/transfers") in {*routes_with_a_body(world.coordinator.app)}
    assert read_without_a_key(world.coordinator.app) == []
