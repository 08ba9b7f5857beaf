"""Entity tags and If-Match (RFC 9110, sections 8.8.3 and 13.1.1)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from shared.runtime.problems import invalid_request

_LISTED: Final = re.compile(r'[ \t]*+(?:(?P<weak>W/)?"(?P<tag>[\x21\x23-\x7e\x80-\xff]*)")?[ \t]*+(?:,|\Z)')
MOST_TAGS: Final = 100


@dataclass(frozen=True, slots=True)
class IfMatch:
    """A precondition: the tag is one of these; None: whatever it is. A weak tag of the header matches nothing."""

    tags: frozenset[str] | None

    def allows(self, tag: str) -> bool:
        """Whether a strong tag, without its quotes, fulfils the precondition."""
        return self.tags is None or tag in self.tags


def quoted(tag: str) -> str:
    """A strong tag as the ETag header has it."""
    return f'"{tag}"'


def read_if_match(values: Sequence[str]) -> IfMatch | None:
    """The precondition of a request with these If-Match headers; None for no header.

    Raises Problem 422 `invalid-request` for what is no list of tags, and no `*`.
    """
    if not values:
        return None
    text = ", ".join(values)
    if text.strip(" \t") == "*":
        return IfMatch(None)
    tags: set[str] = set()
    named, at = 0, 0
    while at < len(text):
        match = _LISTED.match(text, at)
        if match is None:
            invalid_request("If-Match", "it is neither * nor a list of entity tags, each in double quotes")
        at = match.end()
        if match["tag"] is not None:
            named += 1
            if match["weak"] is None:
                tags.add(match["tag"])
    if not 0 < named <= MOST_TAGS:
        invalid_request("If-Match", f"it names one entity tag to {MOST_TAGS} of them")
    return IfMatch(frozenset(tags))
