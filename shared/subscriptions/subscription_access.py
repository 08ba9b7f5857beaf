"""Which subscriptions a caller sees and changes."""

from __future__ import annotations

from collections.abc import Callable, Collection

import msgspec
from sqlalchemy import Connection, Table, select

from shared.subscriptions.subscription_records import Subscription

RevokedAmong = Callable[[Connection, Collection[str]], set[str]]
"""Which of these API keys, by their ids, were revoked."""


def revoked_in(api_key: Table) -> RevokedAmong:
    """By a service's table of keys, with `key_id` and `revoked_at`; who is not in it, as a command is, was not."""

    def revoked_among(connection: Connection, key_ids: Collection[str]) -> set[str]:
        query = select(api_key.c.key_id).where(api_key.c.key_id.in_(sorted(key_ids)), api_key.c.revoked_at.is_not(None))
        return set(connection.execute(query).scalars()) if key_ids else set()

    return revoked_among


class SubscriptionAccess(msgspec.Struct, frozen=True):
    """A caller. `own_only`: it sees those that its own key made; `location_id`: those of this location alone."""

    key_id: str
    own_only: bool = False
    location_id: str | None = None

    def sees(self, found: Subscription) -> bool:
        """Whether this caller may know of a subscription."""
        if self.own_only and found.owner != self.key_id:
            return False
        return self.location_id is None or found.location_ids == frozenset((self.location_id,))
