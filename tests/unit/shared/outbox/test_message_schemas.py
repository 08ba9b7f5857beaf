"""The schemas and the AsyncAPI document, held against what is really published."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote

import pytest
from hypothesis import given
from jsonschema_rs import Draft202012Validator, ValidationError

from shared.chain import Head
from shared.events import Event, LowStock, Parent, Reference
from shared.outbox.async_api import async_api
from shared.outbox.message_records import MessageType
from shared.outbox.message_schemas import DIALECT, list_schema, message_schemas
from tests.support.events import MINUTE, NOON, an_event, seal_all
from tests.support.published import MemoryLog, logs, read_all, reader_of

# CloudEvents 1.0: attributes have names of lower-case letters and digits.
ATTRIBUTE = re.compile(r"[a-z0-9]{1,20}")


def closed(schema: Any) -> Any:
    """The schema without room for members that it does not name."""
    if isinstance(schema, list):
        return [closed(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    found = {name: closed(member) for name, member in schema.items()}
    return {**found, "additionalProperties": False} if "properties" in found else found


CLOSED = {
    kind: Draft202012Validator(closed(schema), validate_formats=True) for kind, schema in message_schemas().items()
}


def of_every_type() -> list[dict[str, Any]]:
    """A message of every type."""
    order = Reference(id="4711", kind="order", revision=2)
    held = {"reservation_id": "r-1", "reference": order}
    moved = {"transfer_id": "t-1", "transfer_line": 1}
    low = LowStock(reorder_point=8_000, reorder_quantity=12_500)
    events = [
        an_event("PURCHASE_RECEIVED", quantity=9_000),
        an_event(reference=order, low=low, v=3),
        an_event("STOCK_RESERVED", expires_at=NOON + MINUTE, quantity=3_000, **held),
        an_event("RESERVATION_REFUSED", reason="unavailable", **held),
        *(an_event(f"RESERVATION_{kind}", reason="done", **held) for kind in ("CONFIRMED", "RELEASED", "EXPIRED")),
        an_event("TRANSFER_OUT", **moved),
        an_event("TRANSFER_IN", **moved),
        an_event("TRANSFER_REFUSED", transfer_id="t-2", reason="no-stock"),
    ]
    first = seal_all(events)
    last = first[-1]
    opened = an_event("EPOCH_OPENED", parent=Parent(epoch=1, sequence=last.event.sequence, hash=last.hash.hex()))
    log = MemoryLog([*first, *seal_all([opened], Head(2, last.event.sequence, last.hash))])
    return [json.loads(each.body) for each in read_all(reader_of(log))]


def check(message: dict[str, Any]) -> None:
    CLOSED[message["type"]].validate(message)
    assert all(ATTRIBUTE.fullmatch(name) for name in message)
    assert unquote(message["source"]) == f"/locations/{message['data']['location_id']}"


def test_a_message_of_every_type_is_as_its_schema_says() -> None:
    messages = of_every_type()
    assert {each["type"] for each in messages} == {kind.value for kind in MessageType}
    for message in messages:
        check(message)
    page = {"items": messages, "next": "00000002-0000000000000011-999"}
    Draft202012Validator(list_schema()).validate(page)


@given(logs())
def test_whatever_is_published_is_as_its_schema_says(events: list[Event]) -> None:
    for each in read_all(reader_of(MemoryLog(seal_all(events)))):
        check(json.loads(each.body))


@pytest.mark.parametrize(
    "spoil",
    [
        lambda message: message.pop("id"),
        lambda message: message.update(specversion="0.3"),
        lambda message: message.update(type="larder.LogContinued"),
        lambda message: message.update(cursor="1-1-0"),
        lambda message: message.update(subject=None),
        lambda message: message.update(mood="good"),
        lambda message: message["data"].pop("lines"),
        lambda message: message["data"]["lines"][0].update(quantity=0),
        lambda message: message["data"]["lines"][0].update(on_hand="9"),
        lambda message: message["data"]["lines"][0].update(event_type="SALE"),
        lambda message: message["data"]["reference"].update(product="latte"),
    ],
)
def test_the_schemas_find_what_is_wrong(spoil: Any) -> None:
    message = next(each for each in of_every_type() if each["type"] == "larder.StockRemoved")
    check(message)
    spoil(message)
    with pytest.raises(ValidationError):
        CLOSED["larder.StockRemoved"].validate(message)


def test_a_schema_allows_what_a_later_version_may_add() -> None:
    message = of_every_type()[0]
    message["data"]["lines"][0]["added"] = 1
    Draft202012Validator(message_schemas()[message["type"]]).validate(message)
    assert all(schema["$schema"] == DIALECT for schema in message_schemas().values())


# AsyncAPI 3.0.0


def references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if "$ref" in value:
            yield value["$ref"]
        for member in value.values():
            yield from references(member)
    elif isinstance(value, list):
        for member in value:
            yield from references(member)


def resolve(document: Any, reference: str) -> Any:
    assert reference.startswith("#/")
    for part in reference[2:].split("/"):
        document = document[part.replace("~1", "/").replace("~0", "~")]
    return document


def test_the_asyncapi_document_keeps_the_rules_of_its_specification() -> None:
    document = async_api("Larder branch BEY-01", "1.2.3")
    assert document["asyncapi"] == "3.0.0"
    assert document["info"]["title"]
    assert document["info"]["version"] == "1.2.3"
    known = {"asyncapi", "id", "info", "servers", "defaultContentType", "channels", "operations", "components"}
    assert document.keys() <= known
    for reference in references(document):
        assert resolve(document, reference)
    for name, channel in document["channels"].items():
        assert re.fullmatch(r"[A-Za-z0-9_-]+", name)
        assert channel["address"].startswith("/")
        assert channel["messages"]
    for operation in document["operations"].values():
        assert operation["action"] in {"send", "receive"}
        channel = operation["channel"]["$ref"]
        # An operation's messages are named as those of its channel, never straight from the components.
        assert all(each["$ref"].startswith(f"{channel}/messages/") for each in operation["messages"])
    messages = document["components"]["messages"]
    assert {each["name"] for each in messages.values()} == {kind.value for kind in MessageType}
    for each in messages.values():
        assert each["contentType"] == "application/cloudevents+json"
        assert resolve(document, each["payload"]["$ref"])["properties"]["type"] == {"const": each["name"]}


def test_what_is_published_is_as_the_asyncapi_document_says() -> None:
    document = async_api("Larder", "1")
    for message in of_every_type():
        (described,) = [each for each in document["components"]["messages"].values() if each["name"] == message["type"]]
        Draft202012Validator(closed(resolve(document, described["payload"]["$ref"]))).validate(message)
