"""The schemas, held against what is really published."""

from __future__ import annotations

import json
import re
from typing import Any
from urllib.parse import unquote

import pytest
from hypothesis import given
from jsonschema_rs import Draft202012Validator, ValidationError

from shared.events import Event
from shared.outbox.message_records import MessageType
from shared.outbox.message_schemas import DIALECT, list_schema, message_schemas
from tests.support.events import seal_all
from tests.support.every_message import closed, of_every_type
from tests.support.published import MemoryLog, logs, read_all, reader_of

# CloudEvents 1.0: attributes have names of lower-case letters and digits.
ATTRIBUTE = re.compile(r"[a-z0-9]{1,20}")


CLOSED = {
    kind: Draft202012Validator(closed(schema), validate_formats=True) for kind, schema in message_schemas().items()
}


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
