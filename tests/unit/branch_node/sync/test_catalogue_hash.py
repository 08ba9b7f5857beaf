"""The chained hash of the catalogue: over the JSON as it was sent, whatever the order of its keys."""

from hashlib import sha256

import msgspec
import pytest

from shared.catalogue_messages import CatalogueEntry, CatalogueItem, catalogue_hash

ENTRY = CatalogueEntry(version=1, hash="00" * 32, item=CatalogueItem(item_id="milk", name="Lait", unit="l"))


def test_it_is_taken_over_sorted_json_without_the_hash() -> None:
    body = '{"item":{"item_id":"milk","name":"Lait","unit":"l"},"version":1}'
    assert catalogue_hash(bytes(32), msgspec.to_builtins(ENTRY)) == sha256(bytes(32) + body.encode()).digest()


def test_the_order_of_keys_and_the_carried_hash_do_not_matter() -> None:
    sent = msgspec.json.decode(b'{"version":1,"hash":"ff","item":{"unit":"l","name":"Lait","item_id":"milk"}}')
    assert catalogue_hash(bytes(32), sent) == catalogue_hash(bytes(32), msgspec.to_builtins(ENTRY))


@pytest.mark.parametrize(
    "changed",
    [
        {"version": 2},
        {"item": {"item_id": "milk", "name": "Lait", "unit": "kg"}},
        {"item": {"item_id": "milk", "name": "Lait", "unit": "l", "from_a_newer_head_office": 1}},
    ],
)
def test_every_other_change_shows(changed: dict[str, object]) -> None:
    entry = msgspec.to_builtins(ENTRY)
    assert catalogue_hash(bytes(32), entry | changed) != catalogue_hash(bytes(32), entry)
    assert catalogue_hash(b"\x01" * 32, entry) != catalogue_hash(bytes(32), entry)
