"""What to do at the command line after a problem of head office, where its own hint names addresses of its API."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

_LOCATIONS: Final = (
    "'larder head-office locations list' lists them, 'larder head-office locations add' adds one that is missing."
)
HINTS: Final[Mapping[str, str]] = {
    "item-not-found": "'larder head-office items list' lists the items.",
    "key-revoked": "Issue another one: larder head-office keys add --role ROLE.",
    "key-reused": "Give the command once more without the key.",
    "last-admin-key": "Issue another one first: larder head-office keys add --role admin",
    "level-not-found": "'larder head-office levels list' lists those that are set, 'levels set' sets one.",
    "location-exists": "Choose another code, or change it with 'larder head-office locations change'. "
    "A lost key is replaced with 'larder head-office keys add --role branch --location LOCATION'.",
    "location-not-found": _LOCATIONS,
    "not-waiting": "'larder head-office items waiting' lists those that wait.",
    "nothing-known": "'larder head-office stock' lists what is known.",
    "report-not-made": "'larder head-office report mornings' lists those that were made.",
    "report-too-large": "Ask for it as CSV, as XLSX instead of a PDF, or for one location.",
    "source-exists": "Give the new one another name; 'larder head-office sources rotate' makes another secret.",
    "too-many-secrets": "Wait until one has ended, or rotate with --overlap 0, which ends them all at once.",
    "subscription-not-found": "'larder head-office subscriptions list' lists them.",
    "unknown-message": "'larder head-office subscriptions deliveries' lists what was sent lately.",
    "unknown-item": "'larder head-office items list' lists the items, 'larder head-office items add' adds one.",
    "unknown-key": "'larder head-office keys list' lists the keys.",
    "unknown-location": _LOCATIONS,
    "unknown-order": "'larder head-office orders list' lists them.",
    "unknown-reservation": "'larder head-office reservations' lists them.",
    "unknown-source": "'larder head-office sources list' lists them.",
}
