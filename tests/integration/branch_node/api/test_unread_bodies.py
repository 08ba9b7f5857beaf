"""A branch reads no body before it knows the key."""

from __future__ import annotations

from tests.support.branch_api import Caller
from tests.support.unread_bodies import answer_unread, read_without_a_key, routes_with_a_body


def test_no_body_is_read_without_a_key(caller: Caller) -> None:
    assert {("POST", "/v1/events"), ("POST", "/v1/orders"), ("POST", "/v1/events/batch"), ("PUT", "/v1/items/out")} <= {
        *routes_with_a_body(caller.app)
    }
    assert read_without_a_key(caller.app) == []


def test_a_body_is_read_with_a_key(caller: Caller) -> None:
    headers = {"authorization": f"Bearer {caller.keys.text['manager']}"}
    for path in ("/v1/events", "/v1/counts"):
        assert answer_unread(caller.app, "POST", path, headers) == (400, 4)
