"""Strict JSON: what is refused, and that the fast reader refuses what the exact one does."""

import json
from decimal import Decimal
from typing import Annotated, Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from shared.runtime.http.strict_json import StrictDecoder, parse_json
from shared.runtime.problems import Problem


class Inner(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    kind: str
    line: Annotated[int, msgspec.Meta(ge=1, le=1000)] | None = None


class Body(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    item_id: str
    quantity: msgspec.Raw = msgspec.Raw(b"")
    note: str | None = None
    inner: Inner | None = None
    lines: list[Inner] = []
    texts: dict[str, str] | None = None


decode = StrictDecoder(Body, max_bytes=10_000)


def refused(call: Any, raw: bytes) -> Problem:
    with pytest.raises(Problem) as caught:
        call(raw)
    return caught.value


def parse(raw: bytes) -> Any:
    return parse_json(raw, max_bytes=10_000)


MALFORMED = [
    b"",
    b"  ",
    b"{",
    b'{"item_id":"a"} x',
    b'{"item_id":"a","item_id":"a"}',
    b'{"item_id":"a","item_id":"b"}',
    b'{"item_id":"a","\\u0069tem_id":"b"}',
    b'{"item_id":"a","inner":{"kind":"x","kind":"x"}}',
    b'{"item_id":"a","lines":[{"kind":"x"},{"kind":"x","kind":"y"}]}',
    b'{"item_id":"a","texts":{"x":"y","x":"y"}}',
    b'{"item_id":"a","texts":{":a":"1",":a":"2"}}',
    b'{"item_id":"a","note":null,"note":null}',
    b'{"item_id":"a","note":"x","note":null}',
    b'{"item_id":"a","quantity":1,"quantity":2}',
    b'{"item_id":NaN}',
    b'{"item_id":"a","quantity":NaN}',
    b'{"item_id":"a","quantity":-Infinity}',
    b'{"item_id":"\\ud800"}',
    b'{"item_id":"\\udc00\\ud800"}',
    b'{"\\ud800":1}',
    b'{"item_id":"a\\u0000b"}',
    b'{"item_id":"a\x00b"}',
    b'{"item_id":"\xff"}',
    b'{"item_id":"\xed\xa0\x80"}',
    b'\xef\xbb\xbf{"item_id":"a"}',
    b'{"item_id":"a","quantity":' + b"[" * 5_000 + b"]" * 4_000 + b"}",
    b"[" * 9_000,
    b'{"item_id":"a","inner":{"kind":"x","line":1e400}}',
    b'{"item_id":"a","inner":{"kind":"x","line":' + b"9" * 5_000 + b"}}",
]


@pytest.mark.parametrize("reader", [parse, decode], ids=["parse_json", "StrictDecoder"])
@pytest.mark.parametrize("raw", MALFORMED, ids=range(len(MALFORMED)))
def test_malformed(reader: Any, raw: bytes) -> None:
    problem = refused(reader, raw)
    assert (problem.status, problem.code) == (400, "malformed-json")
    assert problem.detail


@pytest.mark.parametrize("raw", [b"1e400", b"[1E2]", b"1.5e3", b"9" * 41, b"0." + b"1" * 40])
def test_numbers_that_no_quantity_is(raw: bytes) -> None:
    assert refused(parse, raw).code == "malformed-json"


def test_numbers_are_exact_and_booleans_are_booleans() -> None:
    value = parse(b'[1.10, 0.1000000000000000055511151231257827, 12345678901234567890123456, -0.0, true, "1.10"]')
    assert value == [
        Decimal("1.10"),
        Decimal("0.1000000000000000055511151231257827"),
        12345678901234567890123456,
        Decimal("0"),
        True,
        "1.10",
    ]
    assert [type(each) for each in value] == [Decimal, Decimal, int, Decimal, bool, str]
    assert str(value[0]) == "1.10"
    assert not any(isinstance(each, float) for each in value)


def test_depth_counts_brackets_outside_of_strings_only() -> None:
    text = json.dumps({"a": "[" * 100 + '\\"{' * 50, "b": [[1]] * 50}).encode()
    assert parse(text)["b"] == [[1]] * 50
    assert parse(b"[" * 32 + b"]" * 32) is not None
    assert refused(parse, b"[" * 33 + b"]" * 33).code == "malformed-json"


def test_too_large_is_413_before_anything_is_read() -> None:
    for reader in (parse, decode):
        problem = refused(reader, b"\xff" * 10_001)
        assert (problem.status, problem.code) == (413, "body-too-large")


@pytest.mark.parametrize(
    ("raw", "field"),
    [
        (b'{"item_id":1}', "item_id"),
        (b'{"item_id":true}', "item_id"),
        (b"{}", "body"),
        (b"[]", "body"),
        (b'{"item_id":"a","other":1}', "body"),
        (b'{"item_id":"a","inner":{"kind":"x","line":0}}', "inner.line"),
        (b'{"item_id":"a","inner":{"kind":"x","line":1.0}}', "inner.line"),
        (b'{"item_id":"a","inner":{"kind":"x","line":true}}', "inner.line"),
        (b'{"item_id":"a","inner":{"kind":"x","line":"1"}}', "inner.line"),
        (b'{"item_id":"a","lines":[{"kind":"x"},{"kind":2}]}', "lines[1].kind"),
    ],
)
def test_wrong_types_name_their_field(raw: bytes, field: str) -> None:
    problem = refused(decode, raw)
    assert (problem.status, problem.code) == (422, "invalid-request")
    assert problem.extras["errors"][0]["field"] == field


def test_numbers_arrive_as_they_were_sent() -> None:
    for text in (b"1.10", b"0.018", b'"12.500"', b"-3", b"99999999999999999999999999"):
        assert bytes(decode(b'{"item_id":"a","quantity":' + text + b"}").quantity) == text


def test_types_that_would_not_be_read_strictly_are_refused_when_declared() -> None:
    class Lenient(msgspec.Struct):
        name: str

    class Strict(msgspec.Struct, forbid_unknown_fields=True):
        nested: list[Lenient]

    for target in (
        float,
        Decimal,
        Any,
        int,
        list[float],
        dict[str, Any],
        Lenient,
        Strict,
        Annotated[int, msgspec.Meta(ge=0)],
    ):
        with pytest.raises(TypeError):
            StrictDecoder(target, max_bytes=10)  # type: ignore[arg-type]


def test_structs_that_cannot_be_counted_are_still_read_exactly() -> None:
    class Spelled(msgspec.Struct, forbid_unknown_fields=True):
        a: str = "x"
        b: str = "x"

    class Tagged(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True, tag=True):
        a: str

    spelled = StrictDecoder(Spelled, max_bytes=100)
    assert spelled(b'{"a":"1"}') == Spelled("1")
    assert refused(spelled, b'{"a":"1","a":"2"}').code == "malformed-json"
    tagged = StrictDecoder(Tagged, max_bytes=100)
    assert refused(tagged, b'{"a":"1","a":"2"}').code == "malformed-json"


texts = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8)
bodies = st.fixed_dictionaries(
    {"item_id": texts},
    optional={
        "note": st.none() | texts,
        "quantity": st.integers(-(10**20), 10**20)
        | st.decimals(allow_nan=False, places=3, min_value=-999, max_value=999).map(float),
        "inner": st.none()
        | st.fixed_dictionaries({"kind": texts}, optional={"line": st.integers(1, 1000) | st.none()}),
        "texts": st.dictionaries(texts, texts, max_size=4),
    },
)


def written(pairs: list[tuple[str, Any]], ascii_only: bool) -> bytes:
    members = ",".join(
        json.dumps(key, ensure_ascii=ascii_only) + ":" + json.dumps(value, ensure_ascii=ascii_only)
        for key, value in pairs
    )
    return ("{" + members + "}").encode()


@given(bodies, st.booleans(), st.booleans())
def test_what_is_well_formed_is_read_whole(body: dict[str, Any], ascii_only: bool, spaced: bool) -> None:
    raw = json.dumps(body, ensure_ascii=ascii_only, indent=1 if spaced else None).encode()
    decoded = decode(raw)
    assert decoded.item_id == body["item_id"]
    assert decoded.note == body.get("note")
    assert decoded.texts == body.get("texts")
    assert msgspec.json.decode(msgspec.json.Encoder(decimal_format="number").encode(parse(raw))) == body


@given(bodies, st.booleans(), st.data())
@example({"item_id": '":'}, False, None)
@example({"item_id": "x", "texts": {"": ""}}, False, None)
def test_a_key_given_twice_is_always_found(body: dict[str, Any], ascii_only: bool, data: Any) -> None:
    pairs = list(body.items())
    if data is None:
        pairs.append(pairs[0])
    else:
        again, other = data.draw(st.sampled_from(pairs)), data.draw(bodies)
        place = data.draw(st.integers(0, len(pairs)))
        pairs.insert(place, (again[0], data.draw(st.sampled_from([again[1], other.get(again[0], again[1])]))))
    raw = written(pairs, ascii_only)
    assert refused(decode, raw).code == "malformed-json"
    assert refused(parse, raw).code == "malformed-json"


@given(st.binary(max_size=60) | st.text(alphabet='{}[]":,\\u0d8e1. \n', max_size=40).map(str.encode))
def test_any_bytes_are_read_or_refused(raw: bytes) -> None:
    for reader in (parse, decode):
        assert outcome(reader, raw) in {200, 400, 422}


def outcome(reader: Any, raw: bytes) -> int:
    try:
        reader(raw)
    except Problem as problem:
        return problem.status
    return 200
