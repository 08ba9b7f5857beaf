"""The commands that change which systems may tell of orders: add a source, give it another secret, remove it."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Connection

from branch_node.database.schema import SOURCES
from branch_node.model import Command, Decision, View
from branch_node.problems import SOURCE_EXISTS, TOO_MANY_SECRETS, TOO_MANY_SOURCES, UNKNOWN_SOURCE
from shared.orders.order_sources import (
    OrderSource,
    add_source,
    count_sources,
    end_replaced_secrets,
    order_source,
    remove_source,
    rotate_secret,
)
from shared.runtime.clock import SECOND

MOST_SOURCES: Final = 100
MOST_SECRETS: Final = 5
"""How many secrets of a source may count at a time: each signature is compared with all of them."""


class AddSource(Command):
    """Store a source with its secret. Answered with None. Raises 409 `source-exists`, `too-many-sources`."""

    def __init__(self, source: str, secret: str, hold_days: int) -> None:
        self._source, self._secret, self._hold_days = source, secret, hold_days

    def decide(self, view: View) -> Decision:
        connection, now = view.connection, view.now
        if order_source(connection, SOURCES, self._source, now) is not None:
            raise SOURCE_EXISTS(f"there is a source {self._source!r} already")
        if count_sources(connection, SOURCES) >= MOST_SOURCES:
            raise TOO_MANY_SOURCES(f"there are {MOST_SOURCES} sources")

        def write(connection: Connection) -> None:
            add_source(connection, SOURCES, self._source, self._secret, hold_days=self._hold_days, now=now)

        return Decision(writes=[write])


class RotateSecret(Command):
    """Give a source another secret; those until now count for `overlap_seconds`, or as long as was said before.

    Answered with None. Raises 404 `unknown-source`, 409 `too-many-secrets`.
    """

    def __init__(self, source: str, secret: str, overlap_seconds: int) -> None:
        self._source, self._secret, self._overlap = source, secret, overlap_seconds

    def decide(self, view: View) -> Decision:
        known, now = known_source(view, self._source), view.now
        if self._overlap and len(known.secrets) >= MOST_SECRETS:
            raise TOO_MANY_SECRETS(f"{MOST_SECRETS} secrets of {self._source} count now")

        def write(connection: Connection) -> None:
            rotate_secret(connection, SOURCES, self._source, self._secret, until=now + self._overlap * SECOND, now=now)
            if not self._overlap:
                end_replaced_secrets(connection, SOURCES, self._source)

        return Decision(writes=[write])


class RemoveSource(Command):
    """Remove a source: nothing that it signs is taken any more. Answered with None. Raises 404 `unknown-source`."""

    def __init__(self, source: str) -> None:
        self._source = source

    def decide(self, view: View) -> Decision:
        known_source(view, self._source)

        def write(connection: Connection) -> None:
            remove_source(connection, SOURCES, self._source)

        return Decision(writes=[write])


def known_source(view: View, source: str) -> OrderSource:
    """The source of this name. Raises 404 `unknown-source`."""
    found = order_source(view.connection, SOURCES, source, view.now)
    if found is None:
        raise UNKNOWN_SOURCE(f"there is no source {source!r}")
    return found
