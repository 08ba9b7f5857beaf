"""How far a reader of a location's messages has come: a place in its log, and a part of what that place published."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

_TEXT: Final = re.compile(r"(\d{8})-(\d{16})-(\d{3})", re.ASCII)
MAX_EPOCH: Final = 10**8 - 1
MAX_SEQUENCE: Final = 10**16 - 1
MAX_PART: Final = 999


class MessageCursor(NamedTuple):
    """After the message of `epoch`, `sequence` and `part`. Cursors compare as their texts do: in the order of the log.

    `sequence` is of the last event of the command that published the message, `part` counts its messages from 0.
    """

    epoch: int
    sequence: int
    part: int

    def __str__(self) -> str:
        """Such as `00000001-0000000000000042-000`. Raises ValueError for numbers that the text has no room for."""
        epoch, sequence, part = self
        if not (0 <= epoch <= MAX_EPOCH and 0 <= sequence <= MAX_SEQUENCE and 0 <= part <= MAX_PART):
            raise ValueError(f"no cursor has the numbers {tuple(self)}")
        return f"{epoch:08d}-{sequence:016d}-{part:03d}"


BEFORE_ALL: Final = MessageCursor(0, 0, 0)
"""Before the first message of every log."""


def read_cursor(text: str) -> MessageCursor:
    """The cursor of a text. Raises ValueError where it is none."""
    match = _TEXT.fullmatch(text)
    if match is None:
        raise ValueError("not a cursor, such as 00000001-0000000000000042-000")
    return MessageCursor(*(int(digits) for digits in match.groups()))
