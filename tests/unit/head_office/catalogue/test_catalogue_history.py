"""The catalogue's chain as a reader verifies it, entries left out included."""

import msgspec
import pytest

from shared.catalogue_messages import (
    CATALOGUE_START,
    CatalogueDiverged,
    CatalogueEntry,
    CatalogueItem,
    CataloguePage,
    catalogue_hash,
    read_catalogue_page,
)


def _item(version: int, previous: str, name: str = "Milk") -> CatalogueEntry:
    item = CatalogueItem(item_id="milk", name=name, unit="l")
    content = {"version": version, "item": {"item_id": "milk", "name": name, "unit": "l"}}
    return CatalogueEntry(version=version, hash=catalogue_hash(bytes.fromhex(previous), content).hex(), item=item)


def _page(*entries: CatalogueEntry, previous: str | None = CATALOGUE_START, version: int = 4) -> bytes:
    return msgspec.json.encode(CataloguePage(entries=list(entries), version=version, more=False, previous=previous))


FIRST = _item(1, CATALOGUE_START)
LEFT_OUT = CatalogueEntry(version=3, hash="ab" * 32)
LAST = _item(4, LEFT_OUT.hash, "Whole milk")


def test_a_page_with_entries_left_out_verifies() -> None:
    page = read_catalogue_page(_page(FIRST, LEFT_OUT, LAST), 0, CATALOGUE_START)
    assert [entry.item.name if entry.item else None for entry in page.entries] == ["Milk", None, "Whole milk"]


def test_the_next_page_begins_where_the_last_one_ended() -> None:
    assert read_catalogue_page(_page(LAST, previous=LEFT_OUT.hash), 3, LEFT_OUT.hash).version == 4
    assert read_catalogue_page(_page(previous=LAST.hash), 4, LAST.hash).entries == []


@pytest.mark.parametrize(
    ("raw", "version", "digest"),
    [
        (_page(FIRST), 0, "cd" * 32),  # another history before it
        (_page(previous=LAST.hash), 5, LAST.hash),  # head office is behind the reader
        (_page(previous=None), 0, CATALOGUE_START),
        (_page(LAST), 0, CATALOGUE_START),  # something between is missing
        (_page(FIRST, LEFT_OUT, _item(4, FIRST.hash)), 0, CATALOGUE_START),  # chained past what was left out
        (_page(FIRST, FIRST), 0, CATALOGUE_START),
        (_page(FIRST).replace(b"Milk", b"Silk"), 0, CATALOGUE_START),
    ],
)
def test_what_does_not_follow_is_refused(raw: bytes, version: int, digest: str) -> None:
    with pytest.raises(CatalogueDiverged):
        read_catalogue_page(raw, version, digest)


def test_fields_and_kinds_of_a_newer_head_office_do_not_break_the_chain() -> None:
    entries: list[dict[str, object]] = [
        {"version": 1, "item": {"item_id": "milk", "name": "Milk", "unit": "l", "shelf": "A3"}},
        {"version": 2, "recipe": {"x": 1}},
    ]
    digest = bytes(32)
    for entry in entries:
        digest = catalogue_hash(digest, entry)
        entry["hash"] = digest.hex()
    raw = msgspec.json.encode({"previous": CATALOGUE_START, "version": 2, "more": False, "entries": entries})
    page = read_catalogue_page(raw, 0, CATALOGUE_START)
    assert page.entries[0].item == CatalogueItem(item_id="milk", name="Milk", unit="l")
    assert page.entries[-1].version == 2
