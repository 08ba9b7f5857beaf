"""A figure as people type it, with a decimal comma where their keyboard has no point. Pure."""

from __future__ import annotations

import re
from typing import Final

_AMBIGUOUS: Final = re.compile(r"[+-]?[1-9][0-9]{0,2},[0-9]{3}")


class CommaFault(ValueError):
    """A figure whose comma cannot be read. `detail` says why, `hint` what to write."""

    def __init__(self, detail: str, hint: str) -> None:
        super().__init__(f"{detail} {hint}")
        self.detail = detail
        self.hint = hint


def decimal_point(text: str) -> str:
    """The text with a point for its decimal comma; without a comma as it is.

    Raises CommaFault where the comma may separate thousands, and where it is not the only separator.
    """
    if "," not in text:
        return text
    if _AMBIGUOUS.fullmatch(text):
        plain, point = text.replace(",", ""), text.replace(",", ".")
        raise CommaFault(f"{text} can be read in two ways.", f"Write {plain} or {point}.")
    if "." in text or text.count(",") > 1:
        raise CommaFault(f"{text[:40]} is not a figure.", "Write it like 12 or 12.5, with at most three decimals.")
    return text.replace(",", ".")
