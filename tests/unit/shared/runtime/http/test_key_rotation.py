"""Which texts of a key are good after any rotations."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.runtime.http.auth import StoredKey
from shared.runtime.http.key_rotation import MOST_EARLIER, earlier_line, last_good, read_earlier
from shared.runtime.http.scopes import Role

SECOND = 1_000_000
STEPS = st.lists(st.tuples(st.integers(0, 30), st.sampled_from([0, 10, 20, 60])), max_size=12)


def digest(number: int) -> str:
    return f"{number:064x}"


@given(steps=STEPS, later=st.integers(0, 70))
def test_a_text_is_good_until_its_own_overlap_ends_or_all_end(steps: list[tuple[int, int]], later: int) -> None:
    line, now, good = "", 0, dict[int, int]()  # number of a text -> until when it is good, in seconds
    for number, (wait, overlap) in enumerate(steps):
        now += wait
        line = earlier_line(line, digest(number), now * SECOND, overlap)
        good = {text: until for text, until in good.items() if until > now} if overlap else {}
        if overlap:
            good[number] = now + overlap
        good = dict(list(good.items())[-MOST_EARLIER:])
        assert last_good(line) == (max(good.values()) * SECOND if good else None)
    key = StoredKey("k", digest(len(steps)), Role.STAFF, earlier=read_earlier(line))
    for number in range(len(steps)):
        expected = good.get(number, 0) > now + later
        assert key.has(digest(number), (now + later) * SECOND) == expected
    assert key.has(digest(len(steps)), (now + later) * SECOND)
    assert not key.has(digest(99), 0)


def test_what_is_kept_is_bounded() -> None:
    line = ""
    for number in range(10):
        line = earlier_line(line, digest(number), number, 60)
    assert [each.digest for each in read_earlier(line)] == [digest(number) for number in (9, 8, 7, 6)]


@pytest.mark.parametrize("rest", ["", ":", ":x", ":1:2", ":²", ":-1", "a:1"])
def test_a_part_of_another_form_opens_nothing(rest: str) -> None:
    part = f"{digest(1)}{rest}"
    assert [each.digest for each in read_earlier(f"{part} {digest(2)}:5")] == [digest(2)]
    assert read_earlier(part) == ()
    assert read_earlier("") == ()
