"""Head office reads no body before it knows the key."""

from __future__ import annotations

from fastapi import FastAPI

from tests.integration.head_office.conftest import Api
from tests.support.unread_bodies import read_without_a_key, routes_with_a_body


def test_no_body_is_read_without_a_key(api: Api) -> None:
    app = api.client.app
    assert isinstance(app, FastAPI)
    assert {("POST", "/v1/sync/events"), ("POST", "/v1/sync/hello"), ("POST", "/v1/instructions")} <= {
        *routes_with_a_body(app)
    }
    assert read_without_a_key(app) == []
