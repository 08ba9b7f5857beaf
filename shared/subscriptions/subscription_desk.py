"""What people and systems do with subscriptions, for the routes and the commands of both services.

Every function blocks for the database, and where a URL is given for its name to resolve. They raise Problem.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Collection, Sequence
from typing import Any, Final

import msgspec
from msgspec import UNSET
from sqlalchemy import Connection

from shared.outbox.message_cursor import BEFORE_ALL, MessageCursor
from shared.outbox.message_source import MessageReader, behind
from shared.problem_kinds import CURSOR_AHEAD, SUBSCRIPTION_NOT_FOUND, URL_REFUSED
from shared.runtime.database.planned_changes import PlanDatabase
from shared.runtime.http.cursor import Cursor
from shared.runtime.problems import WRONG_LOCATION, invalid_request
from shared.runtime.webhooks.address_guard import AddressGuard, AddressRefused, Resolver, look_up
from shared.runtime.webhooks.pinned_transport import TimedLookups
from shared.runtime.webhooks.webhook_signatures import NEW_SECRET_BYTES, secret_of
from shared.subscriptions.delivery_state import DeliveryState
from shared.subscriptions.request_keys import KeyedRequest, keyed_request, was_made
from shared.subscriptions.subscription_access import RevokedAmong, SubscriptionAccess
from shared.subscriptions.subscription_changes import (
    change_plan,
    creation_plan,
    made_with,
    newest_secret,
    removal_plan,
    replay_plan,
    resending_plan,
    rotation_plan,
)
from shared.subscriptions.subscription_inputs import (
    START,
    GroupSubscriptionInput,
    ReplayInput,
    SubscriptionChange,
    SubscriptionInput,
    SubscriptionRotationInput,
    cursor_of,
)
from shared.subscriptions.subscription_queries import (
    DeliveryPlace,
    find_subscription,
    list_deliveries,
    list_subscriptions,
    read_cursors,
)
from shared.subscriptions.subscription_records import (
    DeliveryRecord,
    NewSecret,
    NewSubscription,
    Subscription,
    SubscriptionCursor,
    SubscriptionRecord,
    SubscriptionState,
    cursor_record,
    delivery_record,
    subscription_record,
)
from shared.subscriptions.subscription_tables import SubscriptionTables

BY_SUBSCRIPTION: Final[Cursor[str]] = Cursor(str)
BY_DELIVERY: Final[Cursor[DeliveryPlace]] = Cursor(DeliveryPlace)

LOOKUP_SECONDS: Final = 5.0
"""How long a name may take to resolve; one that takes longer is checked when it is connected to."""
MOST_READ: Final = 1_000

CheckLocations = Callable[[Connection, Collection[str]], None]


class SubscriptionDesk:
    """Subscriptions of one service. `locations` reads which there are; `check_locations` raises Problem for one that is
    not; `revoked` reads which keys were; `changed` is told of every change, so that it takes effect at once."""

    def __init__(
        self,
        *,
        tables: SubscriptionTables,
        database: PlanDatabase,
        reader: MessageReader,
        guard: AddressGuard,
        now: Callable[[], int],
        new_id: Callable[[int], str],
        locations: Callable[[Connection], Collection[str]],
        check_locations: CheckLocations,
        revoked: RevokedAmong,
        changed: Callable[[], None] = lambda: None,
        resolve: Resolver = look_up,
    ) -> None:
        self._tables = tables
        self._database = database
        self._reader = reader
        self._guard = guard
        self._now = now
        self._new_id = new_id
        self._locations = locations
        self._check_locations = check_locations
        self._revoked = revoked
        self._changed = changed
        self._lookups = TimedLookups(resolve)

    # Reading

    def page(
        self, access: SubscriptionAccess, after: str | None, limit: int
    ) -> tuple[list[SubscriptionRecord], str | None]:
        """A page of the subscriptions that the caller sees, and its cursor. Raises 400 `bad-cursor`."""
        place = BY_SUBSCRIPTION.read(after) or ""
        owner = access.key_id if access.own_only else None
        with self._database.reading() as connection:
            # There are not more than MOST_SUBSCRIPTIONS in all.
            found = list_subscriptions(connection, self._tables, after=place, limit=MOST_READ, owner=owner)
            seen = [each for each in found if access.sees(each)]
            page = seen[:limit]
            cursors = self._cursors(connection, page)
        records = self._records([(each, cursors[each.subscription_id]) for each in page])
        return records, BY_SUBSCRIPTION.write(page[-1].subscription_id) if len(seen) > limit else None

    def show(self, access: SubscriptionAccess, subscription_id: str) -> SubscriptionRecord:
        """One subscription. Raises 404 `subscription-not-found`."""
        with self._database.reading() as connection:
            found = self._find(connection, access, subscription_id)
            cursors = self._cursors(connection, [found])
        (record,) = self._records([(found, cursors[subscription_id])])
        return record

    def deliveries(
        self,
        access: SubscriptionAccess,
        subscription_id: str,
        *,
        after: str | None,
        limit: int,
        state: DeliveryState | None,
        location_id: str | None,
    ) -> tuple[list[DeliveryRecord], str | None]:
        """A page of what was sent, by location and the newest first, and its cursor."""
        place = BY_DELIVERY.read(after)
        with self._database.reading() as connection:
            self._find(connection, access, subscription_id)
            found = list_deliveries(
                connection,
                self._tables,
                subscription_id,
                after=place,
                limit=limit + 1,
                state=state,
                location_id=location_id,
            )
        page = found[:limit]
        records = [delivery_record(*each) for each in page]
        if len(found) <= limit:
            return records, None
        location, last = page[-1]
        return records, BY_DELIVERY.write(DeliveryPlace(location, str(last.cursor)))

    # Changing

    def create(self, access: SubscriptionAccess, given: SubscriptionInput, key: str | None) -> NewSubscription:
        """Make a subscription. The same request with the same Idempotency-Key makes it once, and is answered with it as
        it stands and the secret that signs now, also where it would be refused by now."""
        creation = keyed_request(key, "create", given)
        if creation is not None and (made_before := self._made_before(access, creation)) is not None:
            return self._with_secret(access, *made_before)
        self._check_url(given.url)
        location_ids = self._wanted_locations(access, given)
        with self._database.reading() as connection:
            if location_ids is not None:
                self._check_locations(connection, location_ids)
            places = sorted(self._locations(connection) if location_ids is None else location_ids)
        starts = self._starts(given.after, places)
        now = self._now()
        new = Subscription(
            subscription_id=self._new_id(now),
            url=given.url,
            types=None if given.types is None else frozenset(given.types),
            label=given.label,
            location_ids=location_ids,
            owner=access.key_id,
            state=SubscriptionState.ACTIVE,
            created_at=now,
        )
        cursors = [
            SubscriptionCursor(subscription_id=new.subscription_id, location_id=place, cursor=cursor)
            for place, cursor in starts.items()
        ]
        made = secret_of(secrets.token_bytes(NEW_SECRET_BYTES))
        subscription_id, secret = self._apply(creation_plan(self._tables, new, cursors, made, creation))
        return self._with_secret(access, subscription_id, secret)

    def change(self, access: SubscriptionAccess, subscription_id: str, given: SubscriptionChange) -> SubscriptionRecord:
        """Change a subscription; what is left out stays. Who resumes one whose key was revoked takes it over."""
        values: dict[str, Any] = {
            name: value for name, value in msgspec.structs.asdict(given).items() if value is not UNSET
        }
        if "url" in values:
            self._check_url(values["url"])
        if values.get("types") is not None:
            values["types"] = frozenset(values["types"])
        if "state" in values:
            values["state"] = values["state"].value
        self._apply(change_plan(self._tables, access, subscription_id, values, self._now(), self._revoked))
        return self.show(access, subscription_id)

    def remove(self, access: SubscriptionAccess, subscription_id: str) -> None:
        """Remove a subscription; nothing more is sent to it."""
        self._apply(removal_plan(self._tables, access, subscription_id))

    def rotate(
        self, access: SubscriptionAccess, subscription_id: str, given: SubscriptionRotationInput, key: str | None
    ) -> NewSecret:
        """A new secret, which signs beside those before for so many seconds; one for each Idempotency-Key."""
        made = secret_of(secrets.token_bytes(NEW_SECRET_BYTES))
        plan = rotation_plan(
            self._tables,
            access,
            subscription_id,
            made,
            overlap_seconds=given.overlap_seconds,
            now=self._now(),
            request=keyed_request(key, "rotate", given),
        )
        return NewSecret(secret=self._apply(plan))

    def replay(
        self, access: SubscriptionAccess, subscription_id: str, given: ReplayInput, key: str | None
    ) -> SubscriptionRecord:
        """Send again what comes after a place, or one message, once for each Idempotency-Key.

        Raises 422 `unknown-message`, 409 `cursor-ahead`.
        """
        request = keyed_request(key, "replay", given)
        if given.message_id is not None:
            plan = resending_plan(
                self._tables, access, subscription_id, given.message_id, now=self._now(), request=request
            )
        else:
            with self._database.reading() as connection:
                found = self._find(connection, access, subscription_id)
                done = was_made(connection, self._tables, subscription_id, request)
                cursors = self._cursors(connection, [found])[subscription_id]
            if done:
                return self.show(access, subscription_id)
            places = [each.location_id for each in cursors]
            if given.location_id is not None:
                if given.location_id not in places:
                    invalid_request("location_id", "this subscription is sent no messages of that location")
                places = [given.location_id]
            starts = self._starts(given.after or START, places)
            plan = replay_plan(self._tables, access, subscription_id, starts, request=request)
        self._apply(plan)
        return self.show(access, subscription_id)

    # What these share

    def _apply(self, plan: Any) -> Any:
        answer = self._database.apply(plan)
        self._changed()
        return answer

    def _made_before(self, access: SubscriptionAccess, creation: KeyedRequest) -> tuple[str, str] | None:
        with self._database.reading() as connection:
            found = made_with(connection, self._tables, access.key_id, creation)
            return None if found is None else (found, newest_secret(connection, self._tables, found))

    def _with_secret(self, access: SubscriptionAccess, subscription_id: str, secret: str) -> NewSubscription:
        record = self.show(access, subscription_id)
        return NewSubscription(**msgspec.structs.asdict(record), secret=secret)

    def _check_url(self, url: str) -> None:
        try:
            self._guard.check_url(url, lambda host, port: self._lookups.addresses(host, port, LOOKUP_SECONDS))
        except AddressRefused as error:
            raise URL_REFUSED(str(error)) from error

    def _wanted_locations(self, access: SubscriptionAccess, given: SubscriptionInput) -> frozenset[str] | None:
        named = given.location_ids if isinstance(given, GroupSubscriptionInput) else None
        if access.location_id is None:
            return None if named is None else frozenset(named)
        if named is not None and set(named) != {access.location_id}:
            raise WRONG_LOCATION(f"the key {access.key_id} is for {access.location_id} only")
        return frozenset((access.location_id,))

    def _starts(self, after: str, places: Collection[str]) -> dict[str, MessageCursor]:
        """The cursor to begin at, by location."""
        cursor = cursor_of(after)
        if cursor is None:
            return dict.fromkeys(places, BEFORE_ALL) if after == START else self._reader.ends(places)
        if len(places) != 1:
            invalid_request("after", "a cursor is of one location's log: name the location, or 'start' or 'end'")
        (place,) = places
        end = self._reader.end(place)
        if cursor > end:
            raise CURSOR_AHEAD(f"the log of {place} ends at {end}")
        return {place: cursor}

    def _find(self, connection: Connection, access: SubscriptionAccess, subscription_id: str) -> Subscription:
        found = find_subscription(connection, self._tables, subscription_id)
        if found is None or not access.sees(found):
            raise SUBSCRIPTION_NOT_FOUND(f"there is no subscription {subscription_id}")
        return found

    def _cursors(self, connection: Connection, found: Collection[Subscription]) -> dict[str, list[SubscriptionCursor]]:
        by_id: dict[str, list[SubscriptionCursor]] = {each.subscription_id: [] for each in found}
        for each in read_cursors(connection, self._tables, by_id):
            by_id[each.subscription_id].append(each)
        return by_id

    def _records(self, found: Sequence[tuple[Subscription, Sequence[SubscriptionCursor]]]) -> list[SubscriptionRecord]:
        ends = self._reader.ends({at.location_id for _, cursors in found for at in cursors})
        return [
            subscription_record(
                each,
                [
                    cursor_record(at, behind(self._reader, at.location_id, at.cursor, ends[at.location_id]))
                    for at in cursors
                ],
            )
            for each, cursors in found
        ]
