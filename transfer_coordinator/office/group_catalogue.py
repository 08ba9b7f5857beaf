"""The coordinator's copy of head office's catalogue: locations, items with their units, and API keys.

It is pulled as changes after a version, chained by hashes, and stored in the database, so that a coordinator knows its
callers after a restart before head office answers. Look-ups read memory only.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from typing import Final

import msgspec
from sqlalchemy import Engine, Table, delete, select

from shared.catalogue_messages import (
    CATALOGUE_START,
    CatalogueDiverged,
    CatalogueKey,
    CataloguePage,
    read_catalogue_page,
)
from shared.runtime.client import RemoteProblem, ServiceClient, Unreachable
from shared.runtime.clock import Clock
from shared.runtime.database.engine import translate_driver_errors
from shared.runtime.database.row_writes import upsert
from shared.runtime.http.auth import StoredKey, digest_of, key_id_of
from shared.runtime.http.key_rotation import read_earlier
from shared.runtime.http.scopes import Role
from shared.runtime.telemetry import get_logger
from shared.runtime.text.nearest_codes import Candidate, nearest_codes
from transfer_coordinator.database.schema import KNOWN_ITEM, KNOWN_KEY, KNOWN_LOCATION, now
from transfer_coordinator.database.transfer_reader import read_feed
from transfer_coordinator.database.transfer_writer import move_feed
from transfer_coordinator.office.head_office_client import retry_timer

log = get_logger("larder.catalogue")

CATALOGUE_FEED: Final = "catalogue"
PAGE: Final = 1_000
MOST_PAGES: Final = 10_000
REFRESH_INTERVAL: Final = 1.0
"""Seconds between two refreshes for unknown keys, so that invalid keys do not become head office's load."""
LOCAL: Final = "localcli"
"""The key id of `larder transfer …` commands on the coordinator's own machine."""


class GroupCatalogue(msgspec.Struct, frozen=True):
    """The catalogue as pulled up to `version`. `items`: unit by item; `locations`: name by location."""

    version: int
    hash: str
    items: dict[str, str]
    locations: dict[str, str]
    keys: dict[str, StoredKey]


EMPTY_CATALOGUE: Final = GroupCatalogue(0, CATALOGUE_START, {}, {}, {})
_ROLES: Final = frozenset(Role)


class Catalogue:
    """The copy. Thread-safe. Valid for callers, too: `own_key`, ours at head office; `local_key`, for commands here."""

    def __init__(
        self,
        engine: Engine,
        client: ServiceClient,
        clock: Clock,
        *,
        own_key: str,
        local_key: str | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._engine = engine
        self._client = client
        self._clock = clock
        self._lock = threading.Lock()
        self._known: GroupCatalogue | None = None
        self._sleep = sleep
        self._refreshed_at = float("-inf")
        self._retry = retry_timer(clock.monotonic)
        self._own: dict[str, StoredKey] = {}
        own_id = key_id_of(own_key)
        if own_id is not None:
            self._own[own_id] = StoredKey(own_id, digest_of(own_key), Role.COORDINATOR)
        if local_key is not None:
            self._own[LOCAL] = StoredKey(LOCAL, digest_of(local_key), Role.MANAGER)
        self.keys_changed: Callable[[], None] = lambda: None

    # Looking up

    def lookup(self, key_id: str) -> StoredKey | None:
        """The key, for the Authenticator. For an unknown one the catalogue is refreshed, about once a second."""
        own = self._own.get(key_id)
        if own is not None:
            return own
        found = self.known().keys.get(key_id)
        if found is None:
            arrived = self._clock.monotonic()
            too_soon = self._refreshed_at + REFRESH_INTERVAL - arrived
            if too_soon > 0:
                self._sleep(min(too_soon, REFRESH_INTERVAL))
            if self.refresh(since=arrived):
                found = self.known().keys.get(key_id)
        return found

    def holds(self, key_id: str) -> bool:
        """Whether a key is in memory, so that `lookup` asks nobody."""
        return key_id in self._own or (self._known is not None and key_id in self._known.keys)

    @property
    def loaded(self) -> GroupCatalogue | None:
        """The catalogue in memory, or None before it was first read from the database. Reads nothing."""
        return self._known

    def known(self) -> GroupCatalogue:
        """The catalogue in memory, read once from the database. Raises Problem where that cannot be used."""
        known = self._known
        if known is None:
            with self._lock:
                known = self._known = self._known or self._load()
        return known

    def nearest(self, item_id: str) -> list[str]:
        """Up to five item codes most like an unknown one, the most similar first."""
        return nearest_codes(item_id, map(Candidate, self.known().items))

    # Pulling

    def refresh(self, since: float | None = None) -> bool:
        """Pull the changes; whether head office answered.

        With `since` (on the monotonic clock) another thread's pull begun after it is enough, and none is begun while
        the retry timer runs. Raises Problem where our database cannot be used.
        """
        with self._lock:
            if since is not None and self._refreshed_at > since:
                return not self._retry.failing
            if since is not None and self._retry.remaining() > 0:
                return False
            self._refreshed_at = self._clock.monotonic()
            try:
                for _ in range(MOST_PAGES):
                    if not self._pull():
                        break
            except (Unreachable, RemoteProblem, msgspec.MsgspecError) as error:
                if not self._retry.failing:
                    log.warning("the catalogue cannot be pulled now", why=str(error))
                self._retry.failed()
                return False
            self._retry.succeeded()
            return True

    def _pull(self) -> bool:
        """Pull and store one page; whether there are more."""
        known = self._known = self._known or self._load()
        try:
            page = self._page(known)
        except CatalogueDiverged as diverged:
            log.warning("head office has another catalogue now; pulling it from the beginning", why=str(diverged))
            self._replace()
            return False
        if page.entries:
            self._store(_merged(known, page), page, replace=False)
        return page.more

    def _page(self, known: GroupCatalogue) -> CataloguePage:
        answer = self._client.request("GET", "/v1/sync/catalogue", params={"after": known.version, "limit": PAGE})
        return read_catalogue_page(answer.body, known.version, known.hash)

    def _replace(self) -> None:
        """Pull the whole catalogue before the old one is dropped, so that callers stay known."""
        known, entries = EMPTY_CATALOGUE, []
        for _ in range(MOST_PAGES):
            try:
                page = self._page(known)
            except CatalogueDiverged as diverged:
                raise Unreachable(f"head office's catalogue does not verify: {diverged}") from diverged
            known = _merged(known, page)
            entries += page.entries
            if not page.more:
                break
        self._store(known, CataloguePage(entries=entries, version=known.version, more=False), replace=True)

    def _store(self, after: GroupCatalogue, page: CataloguePage, *, replace: bool) -> None:
        """Store the page's entries, with `replace` in place of all others, and use `after` from now on."""
        items = {each.item.item_id: each.item for each in page.entries if each.item is not None}
        locations = {each.location.location_id: each.location for each in page.entries if each.location is not None}
        keys = {each.key.key_id: each.key for each in page.entries if each.key is not None}
        with translate_driver_errors(), self._engine.begin() as connection:
            if replace:
                for table in (KNOWN_ITEM, KNOWN_LOCATION, KNOWN_KEY):
                    connection.execute(delete(table))
            upsert(connection, KNOWN_ITEM, _rows(KNOWN_ITEM, items.values()))
            upsert(connection, KNOWN_LOCATION, _rows(KNOWN_LOCATION, locations.values()))
            upsert(connection, KNOWN_KEY, _rows(KNOWN_KEY, keys.values()))
            move_feed(connection, CATALOGUE_FEED, str(after.version), now(connection), after.hash)
        self._known = after  # replaced whole, as readers take no lock
        if keys or replace:
            self.keys_changed()

    def _load(self) -> GroupCatalogue:
        with translate_driver_errors(), self._engine.connect() as connection:
            version, digest = read_feed(connection, CATALOGUE_FEED) or ("0", CATALOGUE_START)
            keys = [CatalogueKey(**row) for row in connection.execute(select(KNOWN_KEY)).mappings()]
            return GroupCatalogue(
                int(version),
                digest,
                {row.item_id: row.unit for row in connection.execute(select(KNOWN_ITEM))},
                {row.location_id: row.name for row in connection.execute(select(KNOWN_LOCATION))},
                _stored_keys(keys),
            )


def _merged(known: GroupCatalogue, page: CataloguePage) -> GroupCatalogue:
    if not page.entries:
        return known
    last = page.entries[-1]
    return GroupCatalogue(
        last.version,
        last.hash,
        known.items | {each.item.item_id: each.item.unit for each in page.entries if each.item is not None},
        known.locations
        | {each.location.location_id: each.location.name for each in page.entries if each.location is not None},
        known.keys | _stored_keys(each.key for each in page.entries if each.key is not None),
    )


def _stored_keys(keys: Iterable[CatalogueKey]) -> dict[str, StoredKey]:
    # A key whose role is of a newer version and not known here may do nothing.
    return {
        key.key_id: StoredKey(
            key.key_id,
            key.key_hash,
            Role(key.role),
            key.location_id,
            key.revoked_at is not None,
            earlier=read_earlier(key.earlier_texts),
        )
        for key in keys
        if key.role in _ROLES
    }


def _rows(table: Table, entries: Iterable[msgspec.Struct]) -> list[dict[str, object]]:
    return [{column.name: getattr(each, column.name) for column in table.columns} for each in entries]
