"""What to do at the command line after a problem of head office, where its own hint names addresses of its API."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

_LOCATIONS: Final = (
    "'larder head-office locations list' lists them, 'larder head-office locations add' adds one that is missing."
)
_SUPPLIERS: Final = (
    "'larder head-office suppliers list' lists them, 'larder head-office suppliers set' adds one that is missing."
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
    "purchase-order-exists": "Give the new one another --id, or none; what was ordered is not rewritten: close it with "
    "'larder head-office purchase-orders close', and order anew.",
    "purchase-order-not-found": "'larder head-office purchase-orders list' lists them.",
    "report-too-large": "Ask for one location with --location, for a shorter period, or for CSV, which holds the most.",
    "report-not-made": "'larder head-office report mornings' lists those that were made.",
    "source-exists": "Give the new one another name; 'larder head-office sources rotate' makes another secret.",
    "supplier-in-use": "'larder head-office purchase-orders show ORDER' shows what is to come, 'purchase-orders close "
    "ORDER' gives it up.",
    "supplier-not-found": _SUPPLIERS,
    "too-many-secrets": "Wait until one has ended, or rotate with --overlap 0, which ends them all at once.",
    "subscription-not-found": "'larder head-office subscriptions list' lists them.",
    "unknown-message": "'larder head-office subscriptions deliveries' lists what was sent lately.",
    "unknown-item": "'larder head-office items list' lists the items, 'larder head-office items add' adds one.",
    "unknown-key": "'larder head-office keys list' lists the keys.",
    "unknown-location": _LOCATIONS,
    "unknown-order": "'larder head-office orders list' lists them.",
    "unknown-reservation": "'larder head-office reservations' lists them.",
    "unknown-supplier": _SUPPLIERS,
    "unknown-source": "'larder head-office sources list' lists them.",
}
