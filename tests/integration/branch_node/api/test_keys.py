"""Keys at a node: its own, those of head office, their last use, and how often each may call."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from branch_node.database.schema import API_KEY
from branch_node.sync.catalogue_update import ApplyCatalogue
from shared.catalogue_messages import CatalogueEntry, CatalogueKey
from shared.runtime.http.auth import digest_of, generate_key
from shared.runtime.http.scopes import Role, Scope
from tests.support.branch_person import Person, somebody


@pytest.fixture
def person(tmp_path: Path) -> Iterator[Person]:
    with somebody(tmp_path, ()) as found:
        yield found


def call(person: Person, method: str, path: str, body: Any = None, *, key: str | None = None) -> Any:
    headers = {"Authorization": f"Bearer {key or person.node.local_key}"}
    return person.client.request(method, path, json=body, headers=headers)


def keys(person: Person) -> dict[str, dict[str, Any]]:
    return {each["key_id"]: each for each in call(person, "GET", "/v1/keys").json()["items"]}


def status(person: Person, key: str) -> int:
    return int(call(person, "GET", "/v1/stock", key=key).status_code)


def publish(person: Person, key: CatalogueKey) -> None:
    entry = CatalogueEntry(version=1, hash="0" * 64, key=key)
    invalidate = person.node.authenticator.invalidate
    command = ApplyCatalogue([entry], version=1, digest="0" * 64, keys_changed=invalidate)
    person.node.writer.submit(command).result(10)


def test_a_key_of_the_node_from_its_issue_to_its_end(person: Person) -> None:
    made = call(person, "POST", "/v1/keys", {"role": "integration", "scopes": ["restock"], "label": "shop"})
    assert made.status_code == 201
    key_id, old = made.json()["key_id"], made.json()["key"]
    (row,) = (each for each in keys(person).values() if each["key_id"] == key_id)
    assert (row["role"], row["scopes"], row["label"], row["issued_here"]) == ("integration", ["restock"], "shop", True)
    assert row["issued_at"]
    assert (row["last_used_at"], row["revoked_at"], row["previous_until"]) == (None, None, None)
    delivery = {"type": "PURCHASE_RECEIVED", "item_id": "none", "quantity": 1}
    assert call(person, "POST", "/v1/events", delivery, key=old).json()["code"] == "unknown-item", "it may restock"

    new = call(person, "POST", f"/v1/keys/{key_id}/rotate", {"overlap_seconds": 600}).json()
    assert new["key_id"] == key_id
    assert keys(person)[key_id]["previous_until"] == new["previous_until"]
    assert [status(person, each) for each in (old, new["key"])] == [200, 200]
    last = call(person, "POST", f"/v1/keys/{key_id}/rotate", {"overlap_seconds": 0}).json()
    assert last["previous_until"] is None
    assert [status(person, each) for each in (old, new["key"], last["key"])] == [401, 401, 200]
    with person.node.store.reading() as connection:
        kept = connection.execute(select(API_KEY).where(API_KEY.c.key_id == key_id)).one()
    assert (kept.key_hash, kept.earlier_texts) == (digest_of(last["key"]), "")

    revoked = call(person, "POST", f"/v1/keys/{key_id}/revoke").json()
    assert revoked["revoked_at"]
    assert status(person, last["key"]) == 401
    assert call(person, "POST", f"/v1/keys/{key_id}/revoke").json() == revoked
    again = call(person, "POST", f"/v1/keys/{key_id}/rotate", {})
    assert (again.status_code, again.json()["code"], again.json()["recorded"]) == (409, "key-revoked", "no")


@pytest.mark.parametrize(
    "body",
    [{"role": "admin"}, {"role": "branch"}, {"role": "staff", "scopes": ["restock"]}, {"label": ""}, {"label": "a\nb"}],
)
def test_a_key_that_no_node_issues(person: Person, body: dict[str, Any]) -> None:
    before = keys(person)
    assert call(person, "POST", "/v1/keys", body).status_code == 422
    assert keys(person) == before


def test_keys_of_head_office_are_listed_and_changed_there_alone(person: Person) -> None:
    new = generate_key()
    old = generate_key(new.key_id)
    told = CatalogueKey(
        key_id=new.key_id, key_hash=new.digest, role="integration", scopes=("restock", "of-tomorrow"),
        earlier_texts=f"{old.digest}:{person.node.clock.now() + 60_000_000}",
    )  # fmt: skip
    publish(person, told)
    row = keys(person)[new.key_id]
    assert (row["issued_here"], row["scopes"]) == (False, ["restock", "of-tomorrow"])
    assert person.node.authenticator.authenticate(new.text).added == {Scope.RESTOCK}
    assert status(person, old.text) == 200
    for act in ("rotate", "revoke"):
        answer = call(person, "POST", f"/v1/keys/{new.key_id}/{act}", {})
        assert (answer.status_code, answer.json()["code"]) == (409, "key-of-the-group")
        assert call(person, "POST", f"/v1/keys/none/{act}", {}).json()["code"] == "unknown-key"
    publish(person, CatalogueKey(key_id=new.key_id, key_hash=new.digest, role="integration", revoked_at=5))
    assert status(person, new.text) == 401


def test_the_last_use_is_written_by_and_by_and_outlives_the_catalogue(person: Person) -> None:
    made = generate_key()
    told = CatalogueKey(key_id=made.key_id, key_hash=made.digest, role="staff")
    publish(person, told)
    assert status(person, made.text) == 200
    assert keys(person)[made.key_id]["last_used_at"] is None
    head = person.node.writer.head
    person.node.write_key_uses()
    used = keys(person)[made.key_id]["last_used_at"]
    assert used is not None
    publish(person, told)
    person.node.write_key_uses()
    assert keys(person)[made.key_id]["last_used_at"] == used
    assert person.node.writer.head == head


def test_a_key_beyond_its_rate_and_the_nodes_own_commands(tmp_path: Path) -> None:
    limits = {"rate_limit_per_second": 0.1, "rate_limit_burst": 2}
    with somebody(tmp_path, (), settings=limits) as person:
        theirs = person.keys[Role.STAFF]
        assert [status(person, theirs) for _ in range(3)] == [200, 200, 429]
        event = {"type": "WASTE_RECORDED", "item_id": "milk", "quantity": 1}
        for path in ("/v1/events", "/v1/orders", "/v1/counts"):  # by the fast lane, and by the router
            answer = call(person, "POST", path, event, key=theirs)
            assert (answer.status_code, answer.json()["code"]) == (429, "too-many-requests")
            assert answer.json()["recorded"] == "no"
            assert 1 <= int(answer.headers["Retry-After"]) <= 10
        assert status(person, person.keys[Role.VIEWER]) == 200
        assert {status(person, person.node.local_key) for _ in range(20)} == {200}
