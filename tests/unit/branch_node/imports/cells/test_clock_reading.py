"""The short way to read HH:MM:SS and HH:MM at the end of a text gives what the format's own pattern gives."""

from __future__ import annotations

from unittest.mock import patch

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from branch_node.imports.cells import timestamps
from branch_node.imports.cells.timestamps import FormatError, TimeFormat, _clock_reading, _time_of_day

HEADS = [
    "", "%Y-%m-%d ", "%Y-%m-%dT", "%d.%m.%Y ", "%y%m%d ", "%Y%m%d", "%Y-%m-%d", "%d/%m/%Y, ", "at ", "T", "%d%% %m %y-",
    "%S ", "%Y-%m-%d %p ", "%%", "%",
]  # fmt: skip
TAILS = ["%H:%M:%S", "%H:%M"]
DAYS = [
    "", "2025-12-31 ", "2025-12-31T", "31.12.2025 ", "1.1.2025 ", "251231 ", "20251231", "31/12/2025, ", "at ", "T",
    "2025-02-30 ", "2025-12-31", "2025-12-1", "1% 2 25-", "0", "2025-12-31  ",
]  # fmt: skip
two = (
    st.integers(0, 59).map("{:02d}".format)
    | st.integers(0, 99).map(str)
    | st.sampled_from(["", "24", "60", "-1", "+1", " 1", "1 ", "١٢", "１２", "²", "1_", "000", "0a", "\n1"])
)
clocks = st.builds(
    lambda parts, separator, end: separator.join(parts) + end,
    st.lists(two, min_size=2, max_size=4),
    st.sampled_from([":", ":", ":", ".", "-", "", "："]),
    st.sampled_from(["", "", "", "\n", " ", "Z", ".5", " PM"]),
)
texts = st.builds(str.__add__, st.sampled_from(DAYS), clocks) | st.text("0123456789:-. T%", max_size=20)


def made(said: str) -> TimeFormat | None:
    try:
        return TimeFormat(said)
    except FormatError:
        return None


def outcome(found: TimeFormat | None, text: str) -> int | str | None:
    try:
        return None if found is None else found.read(text)
    except ValueError as error:
        return str(error)


@settings(deadline=None, max_examples=1_000)
@given(st.sampled_from(HEADS), st.sampled_from(TAILS), texts)
@example("%Y-%m-%d ", "%H:%M:%S", "2025-12-31 23:59:59")
@example("T", "%H:%M:%S", "T23:59:59")
def test_both_ways_read_alike(head: str, tail: str, text: str) -> None:
    short = outcome(made(head + tail), text)
    with patch.object(TimeFormat, "_split", lambda *_: (0, None)):
        long = made(head + tail)
    assert short == outcome(long, text)


@settings(deadline=None)
@given(st.tuples(*[st.integers(0, 99).map("{:02d}".format)] * 3), st.booleans())
@example(("23", "59", "59"), True)
@example(("24", "00", "00"), False)
def test_the_clock_alone(found: tuple[str, str, str], seconds: bool) -> None:
    parts = found if seconds else found[:2]
    text = ":".join(parts)
    try:
        expected = _time_of_day(dict(zip("HMS", parts, strict=False)), text)
    except ValueError:
        assert _clock_reading(text, len(text)) is None
    else:
        assert _clock_reading(text, len(text)) == expected


@pytest.mark.parametrize(("said", "text"), [("T%H:%M:%S", "T18:05:00"), ("at %H:%M", "at 18:05")])
def test_words_before_a_clock(said: str, text: str) -> None:
    assert TimeFormat(said).read(text) == timestamps.HOUR * 18 + timestamps.SECOND * 300
