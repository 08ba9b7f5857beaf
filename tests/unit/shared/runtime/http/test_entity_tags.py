"""If-Match as RFC 9110 has it: tags, lists, *, weak tags that match nothing, and what is none of these."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.runtime.http.entity_tags import MOST_TAGS, IfMatch, quoted, read_if_match
from shared.runtime.problems import Problem

ETAGC = [chr(each) for each in (0x21, *range(0x23, 0x7F), *range(0x80, 0x100))]
TAGS = st.text(st.sampled_from(ETAGC), max_size=12)
BLANKS = st.text(st.sampled_from(" \t"), max_size=3)


@given(data=st.data(), tags=st.lists(st.tuples(TAGS, st.booleans()), min_size=1, max_size=8))
def test_every_list_is_read_whole(data: st.DataObject, tags: list[tuple[str, bool]]) -> None:
    """However it is spaced, spread over headers and filled with empty elements."""
    elements = [f'{"W/" if weak else ""}"{tag}"' for tag, weak in tags]
    for _ in range(data.draw(st.integers(0, 3))):
        elements.insert(data.draw(st.integers(0, len(elements))), "")
    spaced = [data.draw(BLANKS) + element + data.draw(BLANKS) for element in elements]
    cut = data.draw(st.integers(0, len(spaced)))
    headers = [",".join(part) for part in (spaced[:cut], spaced[cut:]) if part]
    found = read_if_match(headers)
    assert found == IfMatch(frozenset(tag for tag, weak in tags if not weak))
    assert all(found.allows(tag) for tag, weak in tags if not weak)


def test_what_is_written_is_read() -> None:
    found = read_if_match([quoted("91595f9880be626f.-50000")])
    assert found is not None
    assert found.allows("91595f9880be626f.-50000")
    assert not found.allows("91595f9880be626f.50000")


def test_none_any_and_weak_ones() -> None:
    assert read_if_match([]) is None
    anything = read_if_match([" * "])
    assert anything is not None
    assert anything.allows("whatever")
    weak = read_if_match(['W/"a"'])
    assert weak is not None
    assert not weak.allows("a")


@pytest.mark.parametrize(
    "headers",
    [
        [""], [" "], [","], ["a"], ['"a'], ['a"'], ['"a" "b"'], ['"a"b'], ['w/"a"'], ['W/ "a"'], ['"a b"'], ["*, *"],
        ['"a", *'], ["*", '"a"'], ['"a"', "b"], ["'a'"], ['"a\x7f"'], [",".join(['"a"'] * (MOST_TAGS + 1))],
    ],
)  # fmt: skip
def test_what_is_no_precondition(headers: list[str]) -> None:
    with pytest.raises(Problem) as caught:
        read_if_match(headers)
    assert (caught.value.status, caught.value.code) == (422, "invalid-request")
    assert caught.value.extras["errors"][0]["field"] == "If-Match"


def test_a_long_header_is_read_in_time() -> None:
    began = time.process_time()
    for text in (" " * 60_000 + "x", '"' + "a" * 60_000, "," * 60_000 + "x", "\t " * 30_000):
        with pytest.raises(Problem):
            read_if_match([text])
    assert time.process_time() - began < 2
