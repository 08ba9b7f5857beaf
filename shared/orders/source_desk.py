"""What people do with the sources of orders, for the routes and the commands of both services."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Final

from sqlalchemy import Connection, text

from shared.orders.order_sources import (
    BY_SOURCE,
    OrderSource,
    add_source,
    count_sources,
    end_replaced_secrets,
    order_source,
    order_sources,
    remove_source,
    rotate_secret,
)
from shared.orders.source_records import (
    OrderSourcePage,
    RemovedSource,
    SecretRotationInput,
    SourceInput,
    SourceWithSecret,
    path_of,
    source_record,
)
from shared.orders.source_tables import SourceTables
from shared.problem_kinds import SOURCE_EXISTS, TOO_MANY_SECRETS, TOO_MANY_SOURCES, UNKNOWN_SOURCE
from shared.runtime.clock import SECOND
from shared.runtime.database.planned_changes import PlanDatabase, PlannedChange
from shared.runtime.http.cursor import page_of
from shared.runtime.problems import ProblemCatalogue
from shared.runtime.webhooks.webhook_signatures import NEW_SECRET_BYTES, secret_of

MOST_SOURCES: Final = 100
MOST_SECRETS: Final = 5
"""How many secrets of a source may count at a time: each signature is compared with all of them."""


class SourceDesk:
    """The sources of one service. Every method blocks for the database and raises Problem, as `problems` has it.

    `now` gives the service's time, microseconds UTC.
    """

    def __init__(
        self, tables: SourceTables, database: PlanDatabase, problems: ProblemCatalogue, now: Callable[[], int]
    ) -> None:
        self._tables = tables
        self._database = database
        self._problems = problems
        self._now = now

    def find(self, source: str, now: int) -> OrderSource | None:
        """One source with the secrets that count at a moment."""
        with self._database.reading() as connection:
            return order_source(connection, self._tables, source, now)

    def page(self, after: str | None, limit: int) -> OrderSourcePage:
        """A page of the sources by their names, behind a cursor. Raises 400 `bad-cursor`."""
        place = BY_SOURCE.read(after)
        with self._database.reading() as connection:
            found = order_sources(connection, self._tables, place, limit + 1, self._now())
        page, following = page_of(found, limit, lambda last: BY_SOURCE.write(last.source))
        return OrderSourcePage(items=[source_record(each) for each in page], next=following)

    def add(self, given: SourceInput) -> SourceWithSecret:
        """Add a source; its secret, made if none was given. Raises 409 `source-exists`, `too-many-sources`."""
        source, secret, now = given.source, given.secret or _new_secret(), self._now()

        def plan(connection: Connection) -> PlannedChange:
            _one_at_a_time(connection)
            if order_source(connection, self._tables, source, now) is not None:
                raise self._problems.own(SOURCE_EXISTS)(f"there is a source {source!r} already")
            if count_sources(connection, self._tables) >= MOST_SOURCES:
                raise self._problems.own(TOO_MANY_SOURCES)(f"there are {MOST_SOURCES} sources")
            return PlannedChange(
                writes=[
                    lambda writing: add_source(
                        writing, self._tables, source, secret, hold_days=given.hold_days, now=now
                    )
                ]
            )

        self._database.apply(plan)
        return _with_secret(source, secret)

    def rotate(self, source: str, given: SecretRotationInput) -> SourceWithSecret:
        """Give a source another secret; those until now count for the overlap, or as long as was said before.

        Without an overlap they end at once. Raises 404 `unknown-source`, 409 `too-many-secrets`.
        """
        secret, overlap, now = given.secret or _new_secret(), given.overlap_seconds, self._now()

        def plan(connection: Connection) -> PlannedChange:
            _one_at_a_time(connection)
            known = self._known(connection, source, now)
            if overlap and len(known.secrets) >= MOST_SECRETS:
                raise self._problems.own(TOO_MANY_SECRETS)(f"{MOST_SECRETS} secrets of {source} count now")

            def write(writing: Connection) -> None:
                rotate_secret(writing, self._tables, source, secret, until=now + overlap * SECOND, now=now)
                if not overlap:
                    end_replaced_secrets(writing, self._tables, source)

            return PlannedChange(writes=[write])

        self._database.apply(plan)
        return _with_secret(source, secret)

    def remove(self, source: str) -> RemovedSource:
        """Remove a source: nothing that it signs is taken any more. Raises 404 `unknown-source`."""
        now = self._now()

        def plan(connection: Connection) -> PlannedChange:
            _one_at_a_time(connection)
            self._known(connection, source, now)
            return PlannedChange(writes=[lambda writing: remove_source(writing, self._tables, source)])

        self._database.apply(plan)
        return RemovedSource(source=source)

    def _known(self, connection: Connection, source: str, now: int) -> OrderSource:
        found = order_source(connection, self._tables, source, now)
        if found is None:
            raise self._problems.own(UNKNOWN_SOURCE)(f"there is no source {source!r}")
        return found


def _one_at_a_time(connection: Connection) -> None:
    if connection.dialect.name == "postgresql":
        # Another process of head office waits, and then finds what this one wrote.
        connection.execute(text("LOCK TABLE inbound_source IN SHARE ROW EXCLUSIVE MODE"))


def _new_secret() -> str:
    return secret_of(secrets.token_bytes(NEW_SECRET_BYTES))


def _with_secret(source: str, secret: str) -> SourceWithSecret:
    return SourceWithSecret(source=source, secret=secret, path=path_of(source))
