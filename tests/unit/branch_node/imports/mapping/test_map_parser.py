"""The map of an import: what may be said, and how a mistake is named."""

import re
import time
import tomllib
from contextlib import suppress
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from branch_node.cli.imports.import_command import EXAMPLE
from branch_node.imports.mapping.import_map import (
    BadCells,
    Columns,
    Condition,
    Constants,
    Formats,
    ImportMap,
    Lookup,
    NewItems,
    Rule,
)
from branch_node.imports.mapping.map_parser import MAX_MAP_BYTES, MapError, parse_map

MINIMAL = """\
source = "till-7"
time_zone = "Asia/Beirut"
type = "ORDER_DEDUCTION"

[columns]
item = "code"
quantity = "qty"
occurred_at = "at"

[formats]
occurred_at = "%Y-%m-%d %H:%M:%S"
"""


def parsed(text: str) -> ImportMap:
    return parse_map(text.encode(), "till.toml")


def test_the_smallest_map() -> None:
    found = parsed(MINIMAL)
    assert (found.source, found.type, found.unknown_items, found.delimiter) == (
        "till-7",
        "ORDER_DEDUCTION",
        "reject",
        None,
    )
    assert found.columns.item == "code"
    assert (found.rules, found.where, found.lookup) == ([], {}, {})


def test_the_example_is_a_map_and_says_everything() -> None:
    found = parse_map(EXAMPLE.read_bytes(), EXAMPLE.name)
    assert found.unknown_items == "create"
    text = EXAMPLE.read_text()
    for table in (ImportMap, Columns, Formats, Constants, BadCells, Condition, Rule, NewItems, Lookup):
        for field in table.__struct_fields__:
            assert re.search(rf"\b{field}\b", text), f"{table.__name__}.{field} is not in the example"


def test_a_map_may_begin_with_a_byte_order_mark() -> None:
    assert parse_map(b"\xef\xbb\xbf" + MINIMAL.encode(), "till.toml") == parsed(MINIMAL)


def test_conditions_short_and_long() -> None:
    found = parsed(
        MINIMAL
        + """
[where]
store = "3"
kind = ["sale", "return"]

[[rules]]
when = { invoice = { starts = "C" }, qty = { below = 0, above = -0.5 } }
type = "CUSTOMER_RETURN"
sign = "absolute"

[[rules]]
skip = true
[rules.when.customer]
empty = true
"""
    )
    assert found.where["store"].equals == "3"
    assert found.where["kind"].equals == ["sale", "return"]
    first, second = found.rules
    assert (first.when["qty"].below, first.when["qty"].above) == (0, Decimal("-0.5"))
    assert (second.when["customer"].empty, second.skip) == (True, True)


def changed(old: str, new: str) -> str:
    assert old in MINIMAL
    return MINIMAL.replace(old, new)


WRONG = {
    "a misspelt key": (changed('time_zone', 'timezone'), 2, "timezone",
        "no such key; the nearest is time_zone; known are"),
    "a misspelt column field": (changed('quantity = "qty"', 'quantiy = "qty"'), 7, "columns.quantiy", "no such key"),
    "a wrong type": (changed('source = "till-7"', "source = 7"), 1, "source", "must be a text in quotes, not a number"),
    "no source": (changed('source = "till-7"\n', ""), None, "source", "is missing"),
    "a source that cannot be": (changed("till-7", "till 7"), 1, "source", "1 to 40 letters"),
    "no such zone": (changed("Asia/Beirut", "Beirut"), 2, "time_zone", "no IANA name"),
    "a zone that is a folder": (changed("Asia/Beirut", "Asia"), 2, "time_zone", "no IANA name"),
    "a zone outside the database": (changed("Asia/Beirut", "../etc/passwd"), 2, "time_zone", "no IANA name"),
    "no zone": (changed('time_zone = "Asia/Beirut"\n', ""), None, "time_zone", "is missing"),
    "no type": (changed('type = "ORDER_DEDUCTION"\n', ""), None, "type", "what are the rows"),
    "no such type": (changed("ORDER_DEDUCTION", "SALE"), 3, "type",
        "'SALE' is not allowed here; allowed are ADJUSTMENT, "),
    "a type made by other commands": (changed("ORDER_DEDUCTION", "TRANSFER_OUT"), 3, "type", "not recorded by import"),
    "waste without reason": (changed("ORDER_DEDUCTION", "WASTE_RECORDED"), 3, "type", "needs a reason"),
    "no item": (changed('item = "code"\n', ""), 5, "columns.item", "is missing"),
    "no quantity": (changed('quantity = "qty"\n', ""), 5, "columns.quantity", "is missing"),
    "no time": (changed('occurred_at = "at"\n', ""), 5, "columns.occurred_at", "either it, or date with time"),
    "a date alone": (changed('occurred_at = "at"', 'date = "at"'), 5, "columns.time", "is missing"),
    "a format without column": (MINIMAL + 'date = "%Y-%m-%d"\n', 12, "formats.date", "has no column"),
    "an unknown directive": (changed("%H:%M:%S", "%H:%M:%Q"), 11, "formats.occurred_at", "%Q is not read here"),
    "a format that lacks the time": (changed(" %H:%M:%S", ""), 11, "formats.occurred_at",
        "the date and the time of day"),
    "a zone twice": (changed("%H:%M:%S", "%H:%M:%S%z"), 2, "time_zone", "is not needed"),
    "two ways to the item": (MINIMAL + '[constants]\nitem = "x"\n', 6, "columns.item", "is missing"),
    "a constant that is a column": (
        MINIMAL.replace("[columns]", '[columns]\nnote = "n"') + '[constants]\nnote = "x"\n',
        14,
        "constants.note",
        "is also a column",
    ),
    "an invisible constant": (MINIMAL + '[constants]\narea = "a\\u200bb"\n', 13, "constants.area", "zero-width"),
    "a product without reference": (MINIMAL.replace("[columns]", '[columns]\nproduct = "p"'), 6, "columns.product",
        "must be there"),
    "a cost without currency": (MINIMAL.replace("[columns]", '[columns]\ncost = "c"'), None, "constants.currency",
        "is missing"),
    "a rule that says nothing": (MINIMAL + '[[rules]]\nwhen = { a = "b" }\n', 12, "rules[1]", "must say one of"),
    "a rule that says two things": (
        MINIMAL + '[[rules]]\nwhen = { a = "b" }\nskip = true\nreject = "no"\n', 12, "rules[1]", "must say one of",
    ),
    "a rule for every row": (MINIMAL + "[[rules]]\nskip = true\n", 12, "rules[1].when", "is missing"),
    "the second rule": (
        MINIMAL + '[[rules]]\nwhen = { a = "b" }\nskip = true\n'
        + '[[rules]]\nwhen = { a = { startz = "b" } }\nskip = true\n',
        16, "rules[2].when.a.startz", "no such key; the nearest is starts; known are above, below, empty",
    ),
    "an empty condition": (MINIMAL + "[where]\nstore = {}\n", 13, "where.store", "says nothing"),
    "an empty text": (MINIMAL + '[where]\nstore = ""\n', 13, "where.store", "empty = true"),
    "a reason on a skip": (MINIMAL + '[[rules]]\nwhen = { a = "b" }\nskip = true\nreason = "x"\n', 12, "rules[1]",
        "records nothing"),
    "rules as a table": (MINIMAL + "[rules]\nskip = true\n", 12, "rules", "must be a list of tables"),
    "no units for new items": (changed("source", 'unknown_items = "create"\nsource'), None, "new_items", "is missing"),
    "new items for nothing": (MINIMAL + '[new_items]\nunit = "piece"\n', 12, "new_items",
        'is for unknown_items = "create"'),
    "an encoding of no texts": (changed("source", 'encoding = "base64"\nsource'), 1, "encoding", "of a text file"),
    "an unknown encoding": (changed("source", 'encoding = "utf-61"\nsource'), 1, "encoding", "nearest are utf_16"),
    "an encoding of hosts": (changed("source", 'encoding = "idna"\nsource'), 1, "encoding", "of a text file"),
    "no line of a header": (changed("source", "header_line = 0\nsource"), 1, "header_line", "from 1 to 1000"),
    "a line of no header": (
        changed("source", 'header_line = 2\nheader = ["code"]\nsource'), 1, "header_line", "with header there is none"),
    "a type of one letter less": (changed("ORDER_DEDUCTION", "ORDER_DEDUCTON"), 3, "type",
        "is not allowed here; the nearest is ORDER_DEDUCTION; allowed are ADJUSTMENT, CUSTOMER_RETURN, "),
    "a type in small letters": (
        MINIMAL + '[[rules]]\nwhen = { a = "b" }\ntype = "waste_recorded"\nreason = "x"\n', 14, "rules[1].type",
        "the nearest is WASTE_RECORDED; allowed are"),
    "another word": (changed("source", 'item_case = "folded"\nsource'), 1, "item_case",
        "the nearest is fold; allowed are exact, fold"),
    "a list with another word": (changed("source", 'item_by = ["code", "ean"]\nsource'), 1, "item_by[2]",
        "'ean' is not allowed here; allowed are code, barcode, alias"),
    "one way twice": (changed("source", 'item_by = ["code", "code"]\nsource'), 1, "item_by", "each way once"),
    "a year that is no number": (changed("source", 'year = "last"\nsource'), 1, "year", "the nearest is latest"),
    "a year of long ago": (changed("source", "year = 1999\nsource"), 1, "year", "from 2000 to 2199"),
    "no such language": (changed("source", 'locale = "xx"\nsource'), 1, "locale", "no language such as en"),
    "a number as a text": (changed("source", 'null = "NULL"\nsource'), 1, "null", "a list of texts, not a text"),
    "a table as a text": (MINIMAL.replace('[formats]\noccurred_at', 'formats').replace("[columns]", "[columns.x]"), 5,
        "columns.x", "no such key"),
    "formats of two kinds": (changed('"%Y-%m-%d %H:%M:%S"', '["%Y-%m-%d %H:%M:%S", "unix"]'), 11, "formats.occurred_at",
        "a file has one kind"),
    "a format without year": (changed("%Y-%m-%d", "%m-%d"), 11, "formats.occurred_at", 'year = "latest"'),
    "units without a column": (MINIMAL + "[units.kg]\ng = 0.001\n", 12, "units", "columns.unit says"),
    "a unit of nothing": (
        MINIMAL.replace("[columns]", '[columns]\nunit = "u"') + "[units.kg]\ng = 0\n", 14, "units.kg.g", "above zero"),
    "a unit that is a text": (
        MINIMAL.replace("[columns]", '[columns]\nunit = "u"') + '[units.kg]\ng = "0,001"\n', 14, "units.kg.g",
        "must be a number, not a text"),
    "a base unit of two": (
        MINIMAL.replace("[columns]", '[columns]\nunit = "u"') + "[units.kg]\nkg = 2\n", 14, "units.kg.kg", "must be 1"),
    "units as numbers": (
        MINIMAL.replace("[columns]", '[columns]\nunit = "u"') + "[units]\nkg = 1\n", 14, "units.kg", "must be a table"),
    "currencies without costs": (MINIMAL + '[currencies]\n"€" = "EUR"\n', 12, "currencies", "has no column"),
    "a currency that is none": (
        MINIMAL.replace("[columns]", '[columns]\ncost = "c"') + '[currencies]\n"€" = "euro"\n', 14, "currencies.€",
        "no currency such as USD"),
    "a bad cell that is needed": (MINIMAL + '[bad_cells]\nquantity = "leave-out"\n', 13, "bad_cells.quantity",
        "no such key; known are actor, cost, expires_on, lot, note, product, reference, reference_line"),
    "a bad cell of no column": (MINIMAL + '[bad_cells]\nlot = "leave-out"\n', 13, "bad_cells.lot", "has no column"),
    "otherwise without rules": (changed("source", 'otherwise = "type"\nsource'), 1, "otherwise", "there are no rules"),
    "otherwise a type that is not there": (
        changed('type = "ORDER_DEDUCTION"', 'otherwise = "type"')
        + '[[rules]]\nwhen = { a = "b" }\ntype = "ADJUSTMENT"\nreason = "x"\n', None, "type", "is missing: otherwise"),
    "a moment and a column": (MINIMAL + '[constants]\ndate = "2026-01-31"\n', 8, "columns.occurred_at", "either it"),
    "a date that is none": (
        MINIMAL.replace('occurred_at = "at"', 'time = "t"').replace("[formats]\n", "").replace(
            'occurred_at = "%Y-%m-%d %H:%M:%S"', '[constants]\ndate = "31.01.2026"'),
        11, "constants.date", "is not written %Y-%m-%d"),
    "a long delimiter": (changed("source", 'delimiter = "::"\nsource'), 1, "delimiter", "one ASCII character"),
    "a comma for decimals and thousands": (
        changed("source", 'decimal = ","\nthousands = ","\nsource'), 2, "thousands", "also what decimals come after"),
    "a header with one name twice": (changed("source", 'header = ["a", "a"]\nsource'), 1, "header", "each column once"),
    "a lookup in no file": (
        MINIMAL + '[lookup.o]\nfile = "a\\u0000b"\nkey = "k"\non = "k"\n', 13, "lookup.o.file", "the name of a file"),
    "not TOML": (MINIMAL + "[columns\n", None, "", "at line 12"),
}  # fmt: skip


@pytest.mark.parametrize(("text", "line", "key", "why"), WRONG.values(), ids=WRONG.keys())
def test_a_mistake_is_named_by_line_and_key(text: str, line: int | None, key: str, why: str) -> None:
    with pytest.raises(MapError) as refused:
        parsed(text)
    said = str(refused.value)
    assert said.startswith("till.toml")
    assert why in said
    assert f"{key}: " in said
    if line is not None:
        assert f" line {line}," in said


def test_a_map_that_is_no_text_or_far_too_long() -> None:
    with pytest.raises(MapError, match="is not UTF-8"):
        parse_map(b"\xff\xfe", "till.toml")
    with pytest.raises(MapError, match="at most"):
        parse_map(b"#" * (MAX_MAP_BYTES + 1), "till.toml")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        # Text inside a text that looks like a heading: it is looked at for the line of the fault.
        ('unknown = """\n[' + " " * 200_000 + '\n"""\n' + MINIMAL, "unknown: no such key"),
        (".".join(["a"] * 50_000) + " = 1\n" + MINIMAL, "a key of more than 20 parts"),
        (MINIMAL + "[" + " . ".join(['"a"'] * 21) + "]\nb = 1\n", "a key of more than 20 parts"),
        ("null = " + "[" * 20_000 + "]" * 20_000 + "\n" + MINIMAL, "too deep inside each other"),
        ("year = " + "{a = " * 20_000 + "1" + "}" * 20_000 + "\n" + MINIMAL, "too deep inside each other"),
        ("year = " + "9" * 5_000 + "\n" + MINIMAL, "a number of too many digits"),
        (MINIMAL + "[[rules]]\nwhen = { qty = { below = nan } }\nskip = true\n", "rules[1].when.qty.below: must be"),
        (MINIMAL + "[where]\nqty = { above = -inf }\n", "where.qty.above: must be a number with an end"),
        (MINIMAL + "[units.kg]\ng = nan\n", "units.kg.g: must be a number with an end"),
    ],
    ids=["blanks", "dots", "heading", "lists", "tables", "digits", "nan in a rule", "infinite", "nan as a factor"],
)
def test_a_map_that_is_made_to_harm_costs_nothing(text: str, why: str) -> None:
    began = time.process_time()
    with pytest.raises(MapError, match=re.escape(why)):
        parsed(text)
    assert time.process_time() - began < 5


def test_a_key_of_many_parts_is_no_text_of_many_dots() -> None:
    text = "# " + "www.example." * 3 + "com, 1.5 to 2.5 ... and so on" + "." * 100
    assert parsed(f"{text}\n{MINIMAL}") == parsed(MINIMAL)


values = st.recursive(
    st.text(max_size=8) | st.integers(-9, 9) | st.booleans() | st.sampled_from(["", "3", "ADJUSTMENT", "%Y"]),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.sampled_from(["a", "b", "when", "equals"]), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip
names = st.sampled_from([*ImportMap.__struct_fields__, "strange"])


@settings(deadline=None)
@given(st.dictionaries(names, values, max_size=6))
def test_whatever_is_said_is_understood_or_refused(said: dict[str, object]) -> None:
    text = "\n".join(f"{name} = {_toml(value)}" for name, value in said.items())
    tomllib.loads(text)
    base = "\n".join(line for line in MINIMAL.splitlines() if line.partition(" =")[0] not in said)
    if {"columns", "formats"} & said.keys():
        base = "\n".join(base.splitlines()[: base.splitlines().index("[columns]")])
    with suppress(MapError):
        assert isinstance(parsed(f"{text}\n{base}"), ImportMap)


def _toml(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return str(value)
    if isinstance(value, str):
        return '"' + "".join(f"\\U{ord(character):08X}" for character in value) + '"'
    if isinstance(value, list):
        return "[" + ", ".join(_toml(each) for each in value) + "]"
    assert isinstance(value, dict)
    return "{" + ", ".join(f"{key} = {_toml(each)}" for key, each in value.items()) + "}"
