"""Keys of the group: scopes beyond the role, rotation with overlap, last use, and how often a key may call."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from pydantic import SecretStr
from sqlalchemy import Engine, select, update
from starlette.testclient import TestClient

from head_office.catalogue import api_keys
from head_office.database.office_schema import API_KEY, CATALOGUE_ENTRY
from head_office.main import KEY_USES, build
from head_office.settings import HeadOfficeSettings
from shared.catalogue_messages import CatalogueKey
from shared.runtime.clock import SystemClock, parse_rfc3339
from shared.runtime.http.auth import digest_of
from shared.runtime.http.key_rotation import EarlierText, read_earlier
from shared.runtime.http.scopes import Role
from tests.integration.head_office.conftest import Api


def listed(api: Api, key_id: str) -> dict:
    (found,) = (each for each in api.call("admin", "GET", "/v1/keys").json()["items"] if each["key_id"] == key_id)
    return found


def published(office: Engine, key_id: str) -> CatalogueKey:
    """The newest entry of the catalogue about a key."""
    entry = CATALOGUE_ENTRY
    query = select(entry.c.content).where(entry.c.kind == "key", entry.c.subject == key_id)
    with office.connect() as connection:
        content = connection.execute(query.order_by(entry.c.version.desc()).limit(1)).scalar_one()
    return msgspec.json.decode(content, type=CatalogueKey)


def test_a_scope_beyond_the_role_is_listed_and_published(api: Api, office: Engine) -> None:
    body = {"role": "integration", "scopes": ["restock", "restock"]}
    made = api.call("admin", "POST", "/v1/keys", body).json()
    assert made["scopes"] == ["restock"]
    assert listed(api, made["key_id"])["scopes"] == ["restock"]
    assert published(office, made["key_id"]).scopes == ("restock",)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"role": "integration", "scopes": ["correct"]}, "scopes"),
        ({"role": "staff", "scopes": ["restock"]}, "scopes"),
        ({"role": "integration", "scopes": ["anything"]}, "scopes[0]"),
        ({"role": "integration", "scopes": "restock"}, "scopes"),
    ],
)
def test_a_scope_that_cannot_be_given(api: Api, body: dict, field: str) -> None:
    answer = api.call("admin", "POST", "/v1/keys", body)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid-request")
    assert answer.json()["errors"][0]["field"] == field


def test_both_texts_are_good_through_the_overlap(api: Api, office: Engine) -> None:
    old = api.keys["staff"]
    key_id = old.split("_")[1]
    answer = api.call("admin", "POST", f"/v1/keys/{key_id}/rotate", {"overlap_seconds": 3_600})
    assert answer.status_code == 200
    api.keys["new"] = answer.json()["key"]
    assert answer.json()["key_id"] == key_id
    assert api.keys["new"] != old
    assert listed(api, key_id)["previous_until"] == answer.json()["previous_until"]
    assert [api.call(who, "GET", "/v1/items").status_code for who in ("staff", "new")] == [200, 200]
    told = published(office, key_id)
    with office.begin() as connection:
        row = connection.execute(select(API_KEY).where(API_KEY.c.key_id == key_id)).one()
        assert (told.key_hash, told.earlier_texts) == (row.key_hash, row.earlier_texts)
        assert old not in str(row)
        # The overlap has ended.
        connection.execute(
            update(API_KEY).where(API_KEY.c.key_id == key_id).values(earlier_texts=f"{digest_of(old)}:1")
        )
    until = parse_rfc3339(answer.json()["previous_until"])[0]
    assert read_earlier(told.earlier_texts) == (EarlierText(digest_of(old), until),)
    revoked = api.call("admin", "POST", "/v1/keys", {"role": "viewer"}).json()["key_id"]
    api.call("admin", "POST", f"/v1/keys/{revoked}/revoke")  # lets every key be looked up again
    assert [api.call(who, "GET", "/v1/items").status_code for who in ("staff", "new")] == [401, 200]


def test_a_second_rotation_ends_no_overlap_and_one_without_an_overlap_ends_all(api: Api) -> None:
    key_id = api.keys["staff"].split("_")[1]
    for who, overlap in (("second", 60), ("third", None), ("fourth", 0)):
        body = None if overlap is None else {"overlap_seconds": overlap}
        api.keys[who] = api.call("admin", "POST", f"/v1/keys/{key_id}/rotate", body).json()["key"]
        good = {
            each: api.call(each, "GET", "/v1/items").status_code for each in ("staff", *api.keys) if each in api.keys
        }
        if who == "third":
            assert [good[each] for each in ("staff", "second", "third")] == [200, 200, 200]
    assert [good[each] for each in ("staff", "second", "third", "fourth")] == [401, 401, 401, 200]
    assert listed(api, key_id)["previous_until"] is None


def test_what_cannot_be_rotated(api: Api) -> None:
    key_id = api.keys["staff"].split("_")[1]
    for body in ({"overlap_seconds": -1}, {"overlap_seconds": 32 * 86_400}, {"overlap": 1}):
        assert api.call("admin", "POST", f"/v1/keys/{key_id}/rotate", body).status_code == 422
    assert api.call("admin", "POST", "/v1/keys/none/rotate").json()["code"] == "unknown-key"
    api.call("admin", "POST", f"/v1/keys/{key_id}/revoke")
    answer = api.call("admin", "POST", f"/v1/keys/{key_id}/rotate")
    assert (answer.status_code, answer.json()["code"]) == (409, "key-revoked")


def test_last_use_and_rates(office_url: str, office: Engine, tmp_path: Path) -> None:
    with office.begin() as connection:
        admin, staff, unused = (api_keys.issue(connection, role) for role in (Role.ADMIN, Role.STAFF, Role.VIEWER))
    settings = HeadOfficeSettings(
        dir=tmp_path, database_url=SecretStr(office_url), threads=4, ingests=2, rate_limit_per_second=0.1,
        rate_limit_burst=3,
    )  # fmt: skip
    service = build(settings, SystemClock())
    with TestClient(service.app) as client:
        theirs = {"Authorization": f"Bearer {staff.text}"}
        assert [client.get("/v1/items", headers=theirs).status_code for _ in range(4)] == [200, 200, 200, 429]
        answer = client.put("/v1/items/x", headers=theirs, json={})
        assert (answer.status_code, answer.json()["code"]) == (429, "too-many-requests")
        assert answer.json()["recorded"] == "no"
        assert 1 <= int(answer.headers["Retry-After"]) <= 10
        service.timers.run(KEY_USES)
        found = client.get("/v1/keys", headers={"Authorization": f"Bearer {admin.text}"}).json()["items"]
        used = {each["key_id"]: each["last_used_at"] for each in found}
        assert used[unused.key_id] is None
        assert used[admin.key_id] is None
        first = parse_rfc3339(used[staff.key_id])[0]
        assert abs(first - SystemClock().now()) < 60_000_000
        with office.begin() as connection:
            api_keys.record_uses(connection, {staff.key_id: first - 5, "unknown": 7})
            found = api_keys.list_keys(connection)
        assert [each.last_used_at for each in found if each.key_id == staff.key_id] == [first]
        assert service.timers.problem() is None
