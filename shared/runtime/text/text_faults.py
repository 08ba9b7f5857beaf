"""Why a text cannot be a code, a note or a name: the rules for every text that comes from outside. Pure."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

# Marks and letters that show as nothing, though Unicode does not class them as format characters.
_INVISIBLE: Final = re.compile("[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0]")
_UNPRINTABLE: Final = frozenset({"Cc", "Cs", "Cn", "Co"})
# Embeddings, overrides and isolates make a text read otherwise than it is stored; U+200E and U+200F do not.
_REORDERING: Final = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def code_fault(text: str) -> str | None:
    """Why `text` cannot be a code or an id (two that look alike must be alike), or None where it can."""
    if not text.isprintable():
        return "it holds a control, zero-width or other unprintable character"
    if text[:1] == " " or text[-1:] == " ":
        return "it begins or ends with a blank"
    if not text.isascii():
        if not unicodedata.is_normalized("NFC", text):
            return "it is not in Unicode's composed form (NFC)"
        if _INVISIBLE.search(text):
            return "it holds an invisible character"
    return None


def text_fault(text: str) -> str | None:
    """Why `text` cannot be a note (line breaks and tabs are fine), or None where it can."""
    if not text.isprintable():
        for character in text:
            if character not in "\n\t" and unicodedata.category(character) in _UNPRINTABLE:
                return f"it holds the character U+{ord(character):04X}, which is no text"
            if character in _REORDERING:
                return f"it holds the character U+{ord(character):04X}, which changes the order of what is read"
    return None if text.strip() else "it is blank"


def name_fault(text: str) -> str | None:
    """Why `text` cannot be a name, which is one line, or None where it can."""
    if "\n" in text or "\t" in text:
        return "it holds a line break or a tab"
    return text_fault(text)
