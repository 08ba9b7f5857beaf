"""Reading zstd that strangers send."""

from __future__ import annotations

import io

import zstandard

from shared.runtime.problems import BAD_REQUEST, BODY_TOO_LARGE

MAX_WINDOW = 8 * 1024 * 1024
_UNKNOWN_SIZE = zstandard.CONTENTSIZE_UNKNOWN


def decompress_zstd(raw: bytes, max_output: int) -> bytes:
    """What one zstd frame holds. Never makes more than ``max_output`` bytes, whatever the frame claims.

    Raises Problem 413 ``body-too-large``, or 400 ``bad-request`` for what is cut short, followed by more, or no zstd.
    """
    decompressor = zstandard.ZstdDecompressor(max_window_size=MAX_WINDOW)
    try:
        size = zstandard.get_frame_parameters(raw).content_size
        if size == _UNKNOWN_SIZE:
            with decompressor.stream_reader(io.BytesIO(raw)) as reader:
                size = len(reader.read(max_output + 1))
        if size > max_output:
            raise BODY_TOO_LARGE(f"the body unpacks to more than {max_output} bytes")
        # In one go, as the streaming reader takes a frame that was cut short for a whole one.
        unpacked = decompressor.decompress(raw, max_output_size=max(size, 1), allow_extra_data=False)
    except zstandard.ZstdError as error:
        raise BAD_REQUEST(f"the body is not one whole zstd frame: {error}") from error
    return unpacked
