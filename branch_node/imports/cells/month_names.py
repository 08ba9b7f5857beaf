"""The names of months and weekdays in a language, as tills write them: long or short, with or without accents. Pure."""

from __future__ import annotations

import unicodedata
from functools import cache
from typing import Final

FORMS: Final = ("wide", "abbreviated")
CONTEXTS: Final = ("format", "stand-alone")


class UnknownLanguage(ValueError):
    """There are no names of that language; the text says what to write."""


@cache
def month_names(locale: str) -> dict[str, int]:
    """Name (folded) -> month, 1 to 12. Raises UnknownLanguage."""
    return _names("months", locale)


@cache
def weekday_names(locale: str) -> dict[str, int]:
    """Name (folded) -> weekday, Monday 0. Raises UnknownLanguage."""
    return _names("days", locale)


def language_names() -> dict[str, str]:
    """Code -> name in English, of the languages that there are names in."""
    from babel import Locale

    return dict(Locale("en").languages.items())


def folded(text: str) -> str:
    """What ways to write one name have in common: no capitals, no accents, no dot on the Turkish i."""
    if text.isascii():
        return text.lower()
    parts = unicodedata.normalize("NFD", unicodedata.normalize("NFD", text).casefold())
    return "".join(part for part in parts if not unicodedata.combining(part)).replace("ı", "i")


def _names(what: str, locale: str) -> dict[str, int]:
    # Only maps with names in their times need it, and it takes a while to import.
    from babel import Locale, UnknownLocaleError

    try:
        found = getattr(Locale.parse(locale.replace("-", "_")), what)
    except (UnknownLocaleError, ValueError, TypeError) as error:
        raise UnknownLanguage(f"{locale[:40]!r} is no language such as en, fr or pt_BR") from error
    names: dict[str, set[int]] = {}
    for context in CONTEXTS:
        for form in FORMS:
            for number, name in found[context].get(form, {}).items():
                names.setdefault(folded(name).rstrip("."), set()).add(number)
    # What could be two months is none.
    return {name: numbers.pop() for name, numbers in names.items() if len(numbers) == 1}
