"""The item codes nearest to one that nobody defined: what the caller probably meant."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Final

from branch_node.model import Item

NEAREST: Final = 5
SEARCHED: Final = 5_000
"""How many items are looked at: comparing takes some microseconds each."""


def nearest_codes(item_id: str, items: Iterable[Item]) -> list[str]:
    """Up to five codes, the likeliest first: by another case, by barcode, by name, by similar letters."""
    wanted = item_id.casefold()
    exact: list[str] = []
    by_code: dict[str, str] = {}
    by_name: dict[str, str] = {}
    for place, item in enumerate(items):
        code, name = item.item_id.casefold(), item.name.casefold()
        if wanted in {code, name} or item.barcode == item_id:
            exact.append(item.item_id)
        elif place < SEARCHED:
            by_code[code] = item.item_id
            by_name[name] = item.item_id
    close = [by_code[code] for code in get_close_matches(wanted, by_code, NEAREST)]
    if len(close) < NEAREST:
        close += [by_name[name] for name in get_close_matches(wanted, by_name, NEAREST)]
    return list(dict.fromkeys([*exact, *close]))[:NEAREST]
