"""What to do at the command line after a problem of the node, where its own hint names addresses of its API."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

HINTS: Final[Mapping[str, str]] = {
    "area-already-counted": "Give the count another --count-id, or the area the figure that it has.",
    "busy": "Give the very same command again in a moment: it is recorded once, however often it is given.",
    "future-date": "Correct --occurred-at; if this computer's clock is wrong, set it right first.",
    "invalid-event": "See 'larder branch record --help' for what an event may carry.",
    "invalid-quantity": "Write it like 12 or 12.5, with at most three decimals.",
    "invalid-time": "Write it with its offset from UTC, like 2026-01-31T12:30:00+02:00; left out, it is now.",
    "item-not-found": "'larder branch items' lists the codes; those in 'nearest' are like the one given.",
    "inventory-unavailable": "Nothing is reserved; 'larder branch stock' shows what there is. Give it again for less.",
    "more-than-open": "'larder branch reservations show' shows what is open; what was sent beyond it is a sale.",
    "reservation-ended": "To reserve again for the order, give it whole with a higher --revision.",
    "too-many-reservations": "'larder branch reservations list --state ACTIVE' shows them: confirm or release some.",
    "key-of-the-group": "At head office: larder head-office keys rotate, or revoke. The node learns of it by itself.",
    "key-revoked": "Issue another key: larder branch keys add --role ROLE.",
    "level-not-found": "'larder branch levels list' lists those that act here.",
    "level-of-the-group": "Change it at head office: 'larder head-office levels set', or 'remove' it there.",
    "purchase-order-line-differs": "'larder branch purchase-orders show ORDER' shows which line is of which item.",
    "purchase-order-not-found": "'larder branch sync' pulls what head office has; 'larder branch purchase-orders list' "
    "lists those that are here.",
    "subscription-not-found": "'larder branch subscriptions list' lists them.",
    "unknown-message": "'larder branch subscriptions deliveries' lists what was sent lately.",
    "source-exists": "Give the new one another name; 'larder branch sources rotate' gives this one another secret.",
    "too-many-secrets": "Wait until one has ended, or rotate with --overlap 0, which ends them all at once.",
    "type-not-by-hand": "See 'larder branch --help': orders, counts, voids and reviews have commands of their own.",
    "unknown-event": "'larder branch log' lists the events.",
    "unknown-item": "'larder branch items' lists the codes; 'larder branch items add' defines one that is missing.",
    "unknown-key": "'larder branch keys list' lists them.",
    "unknown-order": "Check the order's id, and its --source.",
    "unknown-reservation": "'larder branch reservations list' lists them.",
    "unknown-source": "'larder branch sources list' lists them.",
    "unit-differs": "Give the quantity in the item's base unit.",
}
