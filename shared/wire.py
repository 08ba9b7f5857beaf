"""The wire format of a batch of events: a small header, then zstd frames of at most 1,000 canonical lines each. Pure.

Layout: `LRDR1` ‖ header length (4 bytes, big-endian) ‖ header as JSON ‖ the frames, one after another. The header has
the length and the line count of every frame, so that a truncated batch is detected, and head office can store the
frames as received.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Final

import msgspec
import zstandard

from shared.chain import follow
from shared.events import MAX_LINE_BYTES, MAX_SEQUENCE, HexHash, Id

MAGIC: Final = b"LRDR1"
FRAME_LINES: Final = 1_000
MAX_FRAMES: Final = 16
MAX_BATCH_BYTES: Final = 32 * 1024 * 1024
MAX_FRAME_OUTPUT: Final = FRAME_LINES * (MAX_LINE_BYTES + 1)
MAX_HEADER_BYTES: Final = 4_096
CONTENT_TYPE: Final = "application/vnd.larder.events"
LEVEL: Final = 1


class FrameHeader(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One frame: compressed `size` in bytes, and how many `lines` it holds."""

    size: Annotated[int, msgspec.Meta(ge=1, le=MAX_BATCH_BYTES)]
    lines: Annotated[int, msgspec.Meta(ge=1, le=FRAME_LINES)]


class BatchHeader(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The extent of a batch: from `first_sequence`, after the event with the hash `previous_hash`, to `last_hash`.

    Hashes are 64 hex digits. With `last_hash` head office verifies the whole batch, and recognises a duplicate by one
    comparison: equal hashes prove equal logs before them.
    """

    location_id: Id
    epoch: Annotated[int, msgspec.Meta(ge=1, le=MAX_SEQUENCE)]
    first_sequence: Annotated[int, msgspec.Meta(ge=1, le=MAX_SEQUENCE)]
    previous_hash: HexHash
    last_hash: HexHash
    frames: Annotated[list[FrameHeader], msgspec.Meta(min_length=1, max_length=MAX_FRAMES)]


class Frame(msgspec.Struct, frozen=True):
    """One frame as received: the compressed bytes, the sequences it covers."""

    first_sequence: int
    last_sequence: int
    body: bytes


class Batch(msgspec.Struct, frozen=True):
    """A parsed batch; the frames are still compressed."""

    header: BatchHeader
    frames: list[Frame]

    @property
    def last_sequence(self) -> int:
        return self.frames[-1].last_sequence


class BadBatch(ValueError):
    """A batch that is truncated, malformed or over a limit; the message is the reason."""


_decode_header = msgspec.json.Decoder(BatchHeader).decode


def pack_frame(lines: Sequence[bytes]) -> bytes:
    """Compress up to FRAME_LINES canonical lines (no newlines inside) into one zstd frame."""
    if not 1 <= len(lines) <= FRAME_LINES:
        raise ValueError(f"a frame holds 1 to {FRAME_LINES} lines, not {len(lines)}")
    return zstandard.ZstdCompressor(level=LEVEL, write_checksum=True).compress(b"\n".join(lines))


def pack(
    location_id: str,
    epoch: int,
    first_sequence: int,
    previous_hash: bytes,
    lines: Sequence[bytes],
    *,
    last_hash: bytes | None = None,
) -> bytes:
    """Make the body of POST /v1/sync/events for consecutive lines from `first_sequence` on.

    `last_hash` is the recorded hash (32 bytes) of the last line; without it it is computed, at the cost of hashing all.
    """
    if last_hash is None:
        last_hash = follow(previous_hash, lines)[-1]
    frames = [
        (pack_frame(part), len(part))
        for part in (lines[start : start + FRAME_LINES] for start in range(0, len(lines), FRAME_LINES))
    ]
    header = msgspec.json.encode(
        BatchHeader(
            location_id,
            epoch,
            first_sequence,
            previous_hash.hex(),
            last_hash.hex(),
            [FrameHeader(len(body), count) for body, count in frames],
        )
    )
    return b"".join([MAGIC, len(header).to_bytes(4, "big"), header, *(body for body, _ in frames)])


def unpack(raw: bytes) -> Batch:
    """Parse a batch without decompressing it. Raises BadBatch."""
    if len(raw) > MAX_BATCH_BYTES:
        raise BadBatch(f"the batch is {len(raw)} bytes long, the limit is {MAX_BATCH_BYTES}")
    begin = len(MAGIC) + 4
    if raw[: len(MAGIC)] != MAGIC or len(raw) < begin:
        raise BadBatch("the body is not a batch of events")
    length = int.from_bytes(raw[len(MAGIC) : begin], "big")
    if not 0 < length <= MAX_HEADER_BYTES or len(raw) < begin + length:
        raise BadBatch("the batch is cut short inside its header")
    try:
        header = _decode_header(raw[begin : begin + length])
        bytes.fromhex(header.previous_hash), bytes.fromhex(header.last_hash)
    except (msgspec.MsgspecError, ValueError) as error:
        raise BadBatch(f"the batch's header cannot be read: {error}") from error
    position, sequence = begin + length, header.first_sequence
    if len(raw) != position + sum(frame.size for frame in header.frames):
        raise BadBatch("the batch is not as long as its header says: it was cut short or something was added")
    frames: list[Frame] = []
    for frame in header.frames:
        frames.append(Frame(sequence, sequence + frame.lines - 1, raw[position : position + frame.size]))
        position, sequence = position + frame.size, sequence + frame.lines
    return Batch(header, frames)


def frame_lines(frame: Frame) -> list[bytes]:
    """Decompress the lines of a frame. Raises BadBatch where they are not as declared, or beyond the limit."""
    try:
        # The declared size is checked first: the decompressor would allocate whatever a frame claims.
        declared = zstandard.frame_content_size(frame.body)
        if not 0 <= declared <= MAX_FRAME_OUTPUT:
            raise BadBatch(f"a frame would unpack to {declared} bytes, the limit is {MAX_FRAME_OUTPUT}")
        plain = zstandard.ZstdDecompressor().decompress(
            frame.body, max_output_size=MAX_FRAME_OUTPUT, allow_extra_data=False
        )
    except zstandard.ZstdError as error:
        raise BadBatch(f"a frame cannot be unpacked: {error}") from error
    lines = plain.split(b"\n")
    if len(lines) != frame.last_sequence - frame.first_sequence + 1:
        raise BadBatch(
            f"the frame at {frame.first_sequence} holds {len(lines)} lines, "
            f"its header says {frame.last_sequence - frame.first_sequence + 1}"
        )
    return lines
