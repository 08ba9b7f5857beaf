"""The routes of API keys."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Final

import msgspec
from fastapi import FastAPI
from starlette.responses import Response

from head_office.api import body_examples as examples
from head_office.api.dependencies import BY_ID, MAX_BODY, Body, CodePath, ListAnswer, Office, RawBody, listed
from head_office.catalogue import api_keys
from head_office.catalogue.api_keys import KeyRecord, key_record
from head_office.problems import KEY_REVOKED, LAST_ADMIN_KEY, PROBLEMS, UNKNOWN_KEY, UNKNOWN_LOCATION
from shared.events import Id
from shared.runtime.http.application import MAX_LIMIT, After, Limit, documented_answer, documented_body, json_response
from shared.runtime.http.auth import Principal
from shared.runtime.http.body_faults import Fault, FieldRule, faults_of
from shared.runtime.http.key_rotation import MOST_OVERLAP_SECONDS, OVERLAP_SECONDS
from shared.runtime.http.scopes import Role, Scope
from shared.runtime.http.strict_json import CheckedDecoder
from shared.runtime.problems import INVALID_REQUEST
from shared.runtime.text.text_faults import name_fault


class KeyBody(Body, frozen=True):
    """A key to be issued: a role, and for `branch` (else optionally, but for admin and coordinator) a location.

    `scopes` are given beyond those of the role: `restock` to an integration.
    """

    role: Role
    location_id: Id | None = None
    label: Annotated[str, msgspec.Meta(min_length=1, max_length=200), FieldRule(name_fault)] | None = None
    scopes: Annotated[tuple[Scope, ...], msgspec.Meta(max_length=len(Scope))] = ()

    @staticmethod
    def faults_between(given: Mapping[str, Any]) -> Iterator[Fault]:
        if given.keys() >= {"role", "location_id"}:
            yield from faults_of(api_keys.check_place, given["role"], given["location_id"])
        if given.keys() >= {"role", "scopes"}:
            yield from faults_of(api_keys.check_scopes, given["role"], given["scopes"])


class NewKeyOut(msgspec.Struct, frozen=True):
    """A key just issued. `key` is shown this once."""

    key_id: str
    key: str
    role: Role
    location_id: str | None
    scopes: tuple[Scope, ...]


class RotationBody(Body, frozen=True):
    """For how many seconds the text until now stays good."""

    overlap_seconds: Annotated[int, msgspec.Meta(ge=0, le=MOST_OVERLAP_SECONDS)] = OVERLAP_SECONDS


class RotatedKeyOut(msgspec.Struct, frozen=True):
    """A key's new text, shown this once, and until when one before it is good, too; null: none is."""

    key_id: str
    key: str
    previous_until: str | None


class KeyPage(ListAnswer, frozen=True):
    items: list[KeyRecord]


_key_body: Final = CheckedDecoder(KeyBody, max_bytes=MAX_BODY)
_rotation_body: Final = CheckedDecoder(RotationBody, max_bytes=MAX_BODY)


def add_key_routes(app: FastAPI, office: Office) -> None:
    """Add the routes of keys."""
    admin = office.caller(Scope.KEYS)

    @app.get(
        "/v1/keys",
        tags=["keys"],
        summary="The keys of the group, revoked ones included",
        responses={200: documented_answer(KeyPage, "In the order of their ids")},
    )
    def list_keys(after: After = None, limit: Limit = MAX_LIMIT, principal: Principal = admin) -> Response:
        del principal
        beginning = BY_ID.read(after) or ""
        with office.reading() as connection:
            found = api_keys.list_keys(connection, beginning, limit + 1)
        return json_response(listed(found, limit, lambda key: BY_ID.write(key.key_id), key_record))

    @app.post(
        "/v1/keys",
        status_code=201,
        tags=["keys"],
        summary="Issue a key; its text is answered once",
        openapi_extra=documented_body(KeyBody, example=examples.KEY),
        responses={
            201: documented_answer(NewKeyOut, "The key"),
            **PROBLEMS.responses(UNKNOWN_LOCATION, INVALID_REQUEST),
        },
    )
    def issue_key(*, principal: Principal = admin, raw: RawBody) -> Response:
        del principal
        body = _key_body(raw)
        with office.writing() as connection:
            made = api_keys.issue(connection, body.role, body.location_id, body.label, body.scopes)
        scopes = tuple(sorted(set(body.scopes)))
        return json_response(NewKeyOut(made.key_id, made.text, body.role, body.location_id, scopes), 201)

    @app.post(
        "/v1/keys/{key_id}/revoke",
        tags=["keys"],
        summary="Revoke a key, for good; branches receive the revocation at their next contact",
        responses={
            200: documented_answer(KeyRecord, "The key as it stands now"),
            **PROBLEMS.responses(UNKNOWN_KEY, LAST_ADMIN_KEY),
        },
    )
    def revoke_key(key_id: CodePath, principal: Principal = admin) -> Response:
        del principal
        with office.writing() as connection:
            revoked = api_keys.revoke(connection, key_id)
        office.authenticator.invalidate()
        return json_response(key_record(revoked))

    @app.post(
        "/v1/keys/{key_id}/rotate",
        tags=["keys"],
        summary="Give a key another text, answered once; the text until now stays good for a while",
        description="Each request makes another text, also one sent again after its answer was lost. The texts before "
        "stay good until their overlaps end; without an overlap all of them end at once.",
        openapi_extra=documented_body(RotationBody, example=examples.ROTATION),
        responses={
            200: documented_answer(RotatedKeyOut, "The key's new text"),
            **PROBLEMS.responses(UNKNOWN_KEY, KEY_REVOKED, INVALID_REQUEST),
        },
    )
    def rotate_key(key_id: CodePath, *, principal: Principal = admin, raw: RawBody) -> Response:
        del principal
        body = _rotation_body(raw or b"{}")
        with office.writing() as connection:
            made, key = api_keys.rotate(connection, key_id, body.overlap_seconds)
        office.authenticator.invalidate()
        return json_response(RotatedKeyOut(made.key_id, made.text, key_record(key).previous_until))
