"""The AsyncAPI document keeps the rules of its specification, and says what is true of messages and delivery."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from jsonschema_rs import Draft202012Validator, ValidationError

from shared.outbox.message_records import CONTENT_TYPE, MessageType
from shared.outbox.message_schemas import short_name
from shared.runtime.webhooks.webhook_signatures import HEADERS, secret_of, signed_headers
from shared.subscriptions.async_api import STREAM, WEBHOOKS, async_api
from tests.support.events import NOON
from tests.support.every_message import closed, of_every_type

DOCUMENT = async_api("Larder branch BEY-01", "1.2.3")
NAMES = {short_name(kind) for kind in MessageType}
# The members that version 3.0.0 knows of each object that we use, and those that it requires.
MEMBERS: dict[str, tuple[set[str], set[str]]] = {
    "document": (
        {"asyncapi", "id", "info", "servers", "defaultContentType", "channels", "operations", "components"},
        {"asyncapi", "info"},
    ),
    "info": (
        {"title", "version", "description", "termsOfService", "contact", "license", "tags", "externalDocs"},
        {"title", "version"},
    ),
    "channel": (
        {
            *("address", "messages", "title", "summary", "description", "servers", "parameters", "tags"),
            *("externalDocs", "bindings"),
        },
        set(),
    ),
    "operation": (
        {
            *("action", "channel", "title", "summary", "description", "security", "tags", "externalDocs", "bindings"),
            *("traits", "messages", "reply"),
        },
        {"action", "channel"},
    ),
    "message": (
        {
            *("headers", "payload", "correlationId", "contentType", "name", "title", "summary", "description", "tags"),
            *("externalDocs", "bindings", "examples", "traits"),
        },
        set(),
    ),
    "components": (
        {
            *("schemas", "servers", "channels", "operations", "messages", "securitySchemes", "serverVariables"),
            *("parameters", "correlationIds", "replies", "replyAddresses", "externalDocs", "tags", "operationTraits"),
            *("messageTraits", "serverBindings", "channelBindings", "operationBindings", "messageBindings"),
        },
        set(),
    ),
}


def keeps(value: dict[str, Any], kind: str) -> bool:
    known, required = MEMBERS[kind]
    return required <= value.keys() <= known


def references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if "$ref" in value:
            assert value.keys() == {"$ref"}, "a reference has nothing beside it"
            yield value["$ref"]
        for member in value.values():
            yield from references(member)
    elif isinstance(value, list):
        for member in value:
            yield from references(member)


def resolve(reference: str) -> Any:
    assert reference.startswith("#/")
    found: Any = DOCUMENT
    for part in reference[2:].split("/"):
        found = found[part.replace("~1", "/").replace("~0", "~")]
    return found


def message(channel: str, name: str) -> dict[str, Any]:
    """A message of a channel, with the members of its traits."""
    found: dict[str, Any] = DOCUMENT["channels"][channel]["messages"][name]
    found = resolve(found["$ref"]) if "$ref" in found else found
    for trait in found.get("traits", ()):
        found = {**resolve(trait["$ref"]), **found}
    return found


def test_the_document_has_what_its_specification_knows_and_requires() -> None:
    assert DOCUMENT["asyncapi"] == "3.0.0"
    assert keeps(DOCUMENT, "document")
    assert keeps(DOCUMENT["info"], "info")
    assert keeps(DOCUMENT["components"], "components")
    assert (DOCUMENT["info"]["title"], DOCUMENT["info"]["version"]) == (
        "Larder branch BEY-01: published messages", "1.2.3",
    )  # fmt: skip
    for reference in references(DOCUMENT):
        assert resolve(reference)
    for member in DOCUMENT["components"].values():
        assert all(re.fullmatch(r"[A-Za-z0-9._-]+", name) for name in member)


@pytest.mark.parametrize("name", [STREAM, WEBHOOKS])
def test_a_channel_has_every_message_once(name: str) -> None:
    channel = DOCUMENT["channels"][name]
    assert keeps(channel, "channel")
    # Null: it is not known before somebody subscribes.
    assert channel["address"] == ("/v1/messages/stream" if name == STREAM else None)
    assert channel["messages"].keys() == NAMES
    for each in channel["messages"]:
        found = message(name, each)
        assert keeps(found, "message")
        assert found["name"] == f"larder.{each}"
        assert found["contentType"] == CONTENT_TYPE
        assert resolve(found["payload"]["$ref"])["properties"]["type"] == {"const": found["name"]}


def test_an_operation_names_the_messages_of_its_channel_and_who_may() -> None:
    schemes = DOCUMENT["components"]["securitySchemes"]
    for operation in DOCUMENT["operations"].values():
        assert keeps(operation, "operation")
        assert operation["action"] == "send"
        channel = operation["channel"]["$ref"]
        # An operation's messages are named as those of its channel, never straight from the components.
        assert [each["$ref"] for each in operation["messages"]] == [
            f"{channel}/messages/{name}" for name in map(short_name, MessageType)
        ]
        assert operation["bindings"]["http"]["method"] in {"GET", "POST"}
        assert operation["security"]
    assert {DOCUMENT["operations"][name]["channel"]["$ref"] for name in DOCUMENT["operations"]} == {
        "#/channels/stream", "#/channels/webhooks",
    }  # fmt: skip
    assert (
        schemes["signature"] | {"type": "httpApiKey", "in": "header", "name": "webhook-signature"}
        == (schemes["signature"])
    )
    assert schemes["apiKey"] | {"type": "http", "scheme": "bearer"} == schemes["apiKey"]


def test_what_is_published_is_as_the_document_says() -> None:
    told = of_every_type()
    assert {each["type"] for each in told} == {kind.value for kind in MessageType}
    for channel in (STREAM, WEBHOOKS):
        for each in told:
            described = message(channel, each["type"].rpartition(".")[2])
            Draft202012Validator(closed(resolve(described["payload"]["$ref"]))).validate(each)


def headers(count: int) -> dict[str, str]:
    secrets = [secret_of(bytes([number]) * 32) for number in range(count)]
    return signed_headers(secrets, "01a2204d-beff-725a-8e8b-cba5acd2fa4f-0", NOON, b"{}")


@pytest.mark.parametrize("count", [1, 2, 5])
def test_the_headers_of_a_webhook_are_as_the_document_says(count: int) -> None:
    schema = resolve(message(WEBHOOKS, "StockAdded")["headers"]["$ref"])
    Draft202012Validator(closed(schema)).validate(headers(count))
    assert schema["required"] == list(HEADERS)
    for name in HEADERS:
        with pytest.raises(ValidationError):
            Draft202012Validator(schema).validate({k: v for k, v in headers(count).items() if k != name})
        with pytest.raises(ValidationError):
            Draft202012Validator(schema).validate(headers(count) | {name: 5})
    assert "headers" not in message(STREAM, "StockAdded")


def test_the_rules_of_delivery_are_told_as_they_are() -> None:
    told = DOCUMENT["operations"]["postMessages"]["description"]
    for words in (
        "2xx within 15 seconds", "410 ends the subscription", "after 1 s", "up to 300 s", "up to 20%", "up to 3600 s",
        "408, 425, 429, 503", "72 hours", "the same `webhook-id`",
    ):  # fmt: skip
        assert words in told
    assert "300 s" in DOCUMENT["components"]["securitySchemes"]["signature"]["description"]
