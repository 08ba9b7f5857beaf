"""zstd from strangers: bombs, pieces, and what is none."""

import os

import pytest
import zstandard

from shared.runtime.compression import decompress_zstd
from shared.runtime.problems import Problem


def with_size(data: bytes) -> bytes:
    return zstandard.ZstdCompressor().compress(data)


def without_size(data: bytes) -> bytes:
    packer = zstandard.ZstdCompressor().compressobj()
    return packer.compress(data) + packer.flush()


PACKERS = pytest.mark.parametrize("pack", [with_size, without_size])


@PACKERS
@pytest.mark.parametrize("data", [b"", b"x", os.urandom(10_000), b"line\n" * 10_000])
def test_whole(pack, data: bytes) -> None:
    assert decompress_zstd(pack(data), len(data)) == data
    assert decompress_zstd(pack(data), 10_000_000) == data


@PACKERS
def test_a_bomb_is_413(pack) -> None:
    bomb = pack(bytes(300_000_000))
    assert len(bomb) < 30_000
    for cap in (1_000_000, 299_999_999):
        with pytest.raises(Problem) as caught:
            decompress_zstd(bomb, cap)
        assert (caught.value.status, caught.value.code) == (413, "body-too-large")


@PACKERS
def test_what_is_not_one_whole_frame_is_400(pack) -> None:
    whole = pack(os.urandom(5_000))
    for raw in (b"", b"hello, world", whole[:-1], whole[:2_000], whole[:3], whole + b"x", whole + whole, whole[1:]):
        with pytest.raises(Problem) as caught:
            decompress_zstd(raw, 1_000_000)
        assert (caught.value.status, caught.value.code) == (400, "bad-request")


def test_a_frame_that_lies_about_its_size() -> None:
    whole = bytearray(with_size(b"a" * 1_000))
    assert zstandard.get_frame_parameters(bytes(whole)).content_size == 1_000
    # The size stands in two bytes after the descriptor, less 256.
    whole[5:7] = (100 - 256 & 0xFFFF).to_bytes(2, "little")
    with pytest.raises(Problem):
        decompress_zstd(bytes(whole), 10_000)
