"""Which subscriptions a caller sees and changes."""

from __future__ import annotations

import msgspec

from shared.subscriptions.subscription_records import Subscription


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
