"""The batch on the wire: whole or refused, never unpacked beyond its limit."""

from __future__ import annotations

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from shared import wire
from shared.chain import GENESIS, follow

LINES = [f'{{"n":{number}}}'.encode() for number in range(2_345)]


def packed(lines: list[bytes] = LINES) -> bytes:
    return wire.pack("BEY-01", 1, 11, GENESIS, lines)


def test_there_and_back() -> None:
    batch = wire.unpack(packed())
    assert [(frame.first_sequence, frame.last_sequence) for frame in batch.frames] == [
        (11, 1_010),
        (1_011, 2_010),
        (2_011, 2_355),
    ]
    assert batch.last_sequence == 2_355
    assert [line for frame in batch.frames for line in wire.frame_lines(frame)] == LINES


@settings(max_examples=200)
@given(st.integers(0, len(packed()) - 1))
def test_cut_short_anywhere_is_refused(length: int) -> None:
    with pytest.raises(wire.BadBatch):
        wire.unpack(packed()[:length])


@settings(max_examples=300)
@given(st.integers(0, len(packed(LINES[:5])) * 8 - 1))
def test_one_flipped_bit_is_refused_or_harmless(bit: int) -> None:
    raw = bytearray(packed(LINES[:5]))
    raw[bit // 8] ^= 1 << (bit % 8)
    try:
        batch = wire.unpack(bytes(raw))
        lines = [line for frame in batch.frames for line in wire.frame_lines(frame)]
    except wire.BadBatch:
        return
    assert lines == LINES[:5]  # the flip sat in the header's own figures: the chain decides about those


def test_the_last_hash_is_the_given_one_or_computed() -> None:
    computed = follow(GENESIS, LINES)[-1]
    assert wire.unpack(packed()).header.last_hash == computed.hex()
    given_one = wire.pack("BEY-01", 1, 11, GENESIS, LINES, last_hash=bytes(range(32)))
    assert wire.unpack(given_one).header.last_hash == bytes(range(32)).hex()


def test_something_added_is_refused() -> None:
    with pytest.raises(wire.BadBatch, match="added"):
        wire.unpack(packed() + b"x")


@pytest.mark.parametrize("raw", [b"", b"LRDR1", b"{}", b"LRDR1\x00\x00\xff\xff", b"LRDR1\x00\x00\x00\x02{}"])
def test_what_is_no_batch(raw: bytes) -> None:
    with pytest.raises(wire.BadBatch):
        wire.unpack(raw)


def test_a_bomb_is_refused_by_its_declared_size_before_anything_is_allocated() -> None:
    bomb = zstandard.ZstdCompressor().compress(b"\n" * (wire.MAX_FRAME_OUTPUT + 1))
    assert len(bomb) < 2_000
    with pytest.raises(wire.BadBatch, match="limit"):
        wire.frame_lines(wire.Frame(1, 1_000, bomb))


def test_a_frame_that_hides_its_size_is_refused() -> None:
    stream = zstandard.ZstdCompressor(write_content_size=False).compress(b"a")
    with pytest.raises(wire.BadBatch):
        wire.frame_lines(wire.Frame(1, 1, stream))


def test_a_frame_with_more_or_fewer_lines_than_it_says_is_refused() -> None:
    body = wire.pack_frame([b"a", b"b"])
    for last in (1, 3):
        with pytest.raises(wire.BadBatch, match="holds 2 lines"):
            wire.frame_lines(wire.Frame(1, last, body))


def test_over_the_limits() -> None:
    with pytest.raises(ValueError, match="1 to 1000"):
        wire.pack_frame([])
    with pytest.raises(wire.BadBatch, match="limit"):
        wire.unpack(bytes(wire.MAX_BATCH_BYTES + 1))
