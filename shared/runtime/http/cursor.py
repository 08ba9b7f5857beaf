"""The opaque cursor of a list: the place where a page ended, as base64url of its JSON, without padding.

A list gives it as `next` and takes it back as `after`. Only the service that wrote a cursor reads it, and what it holds
is checked like any input.
"""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Final, Generic, TypeVar

import msgspec

from shared.runtime.problems import ProblemKind

MAX_CURSOR: Final = 2_000
"""Characters of a list's cursor at most."""

Whole = Annotated[int, msgspec.Meta(ge=0, le=2**62)]
"""A number in a cursor that any of our databases can hold: a sequence, a moment in microseconds."""

BAD_CURSOR: Final = ProblemKind(
    "bad-cursor", 400, "The cursor is not one that this service gave out", "Begin again without 'after'."
)

T = TypeVar("T")
Item = TypeVar("Item")


class BadCursor(ValueError):
    """A text that is no cursor of the list it was given to."""


class Cursor(Generic[T]):
    """Writes and reads the cursors of one list, whose places are of the type `place`.

    `place` is what msgspec reads: a text, a tuple, a NamedTuple, a dict; numbers in it are `Whole`.
    """

    def __init__(self, place: Any, *, longest: int = MAX_CURSOR) -> None:
        self._decode: Callable[[bytes], T] = msgspec.json.Decoder(place).decode
        self._longest = longest

    def write(self, place: T) -> str:
        """The opaque text of a place."""
        return urlsafe_b64encode(msgspec.json.encode(place)).rstrip(b"=").decode("ascii")

    def decode(self, text: str) -> T:
        """The place of a text. Raises BadCursor."""
        if len(text) > self._longest:
            raise BadCursor("the cursor is too long")
        try:
            place = self._decode(urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4)))
        except (ValueError, RecursionError) as error:  # msgspec's and base64's errors are ValueErrors
            raise BadCursor("the cursor cannot be read") from error
        if _holds_nul(place):
            raise BadCursor("the cursor is not one of this list")
        return place

    def read(self, after: str | None) -> T | None:
        """The place that a list goes on after, None at its beginning. Raises Problem 400 `bad-cursor`."""
        if not after:
            return None
        try:
            return self.decode(after)
        except BadCursor as error:
            raise BAD_CURSOR(str(error)) from error


def page_of(found: list[Item], limit: int, after: Callable[[Item], str]) -> tuple[list[Item], str | None]:
    """A page's members and `next`, of a list read with one member more than `limit`; `after` writes a cursor."""
    page = found[:limit]
    return page, after(page[-1]) if len(found) > limit else None


def page_of_log(found: list[Item], limit: int, after: Callable[[Item], str], reached: str) -> tuple[list[Item], str]:
    """The same of a log or a stream, whose end is behind the last member, where new ones come.

    `reached` is the cursor at which the page began. A page shorter than `limit` is the last.
    """
    page = found[:limit]
    return page, after(page[-1]) if page else reached


def _holds_nul(value: object) -> bool:
    # PostgreSQL's text cannot hold U+0000, so no place of ours does.
    if isinstance(value, str):
        return "\0" in value
    if isinstance(value, Mapping):
        return any(_holds_nul(member) for pair in value.items() for member in pair)
    return isinstance(value, tuple | list) and any(_holds_nul(member) for member in value)
