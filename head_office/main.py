"""Building head office from its parts, and running it."""

from __future__ import annotations

import random
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from anyio import CapacityLimiter
from anyio.to_thread import current_default_thread_limiter
from fastapi import FastAPI
from pydantic import SecretStr
from sqlalchemy import Engine, text

from head_office.api.coordinator_routes import INSTRUCTIONS_PATH, add_transfer_routes
from head_office.api.dependencies import MAX_BODY, Office
from head_office.api.inbound.order_routes import office_order_routes
from head_office.api.inbound.source_access import office_source_routes
from head_office.api.item_routes import add_item_routes
from head_office.api.key_routes import add_key_routes
from head_office.api.level_routes import add_level_routes
from head_office.api.location_routes import add_location_routes
from head_office.api.message_routes import add_message_routes
from head_office.api.purchases.group_purchase_order_routes import add_purchase_order_routes
from head_office.api.purchases.group_supplier_routes import add_supplier_routes
from head_office.api.report_routes import add_report_routes
from head_office.api.reports.morning_routes import add_morning_routes
from head_office.api.reports.purchasing_routes import add_purchasing_routes
from head_office.api.reports.unmet_demand_routes import add_unmet_demand_route
from head_office.api.reports.usage_routes import add_usage_route
from head_office.api.reports.variance_routes import add_variance_route
from head_office.api.reservation_routes import add_reservation_routes
from head_office.api.stock_routes import add_stock_routes
from head_office.api.subscriber_access import office_subscription_routes
from head_office.api.sync_routes import EVENTS_PATH, add_sync_routes
from head_office.catalogue.api_keys import DatabaseKeys, record_uses
from head_office.database.connections import DATABASE, listener
from head_office.database.notifications import Wakeups
from head_office.database.office_schema import CATALOGUE_CHANNEL, INSTRUCTIONS_CHANNEL
from head_office.database.schema import FACTS_CHANNEL, LOG_CHANNEL, MIGRATIONS, VERSION_TABLE
from head_office.orders.order_router import ROUTER_CONNECTIONS, OrderRouter
from head_office.pages.page_routes import add_pages
from head_office.problem_translation import translated
from head_office.problems import PROBLEMS
from head_office.reports.mornings.office_mornings import MORNING_CONNECTIONS, OfficeMornings
from head_office.settings import HeadOfficeSettings
from head_office.subscriptions.office_subscriptions import CONNECTIONS, OfficeSubscriptions
from head_office.subscriptions.published_messages import message_reader
from shared.outbox.message_source import MessageReader
from shared.runtime.clock import Clock, IdFactory, SystemClock
from shared.runtime.database.engine import postgres_engine
from shared.runtime.database.migrations import pending_upgrade
from shared.runtime.http.application import build_app, read_guide
from shared.runtime.http.auth import Authenticator
from shared.runtime.http.rate_limits import RateLimiter
from shared.runtime.http.server import run_service
from shared.runtime.settings import SettingsError
from shared.runtime.telemetry import Telemetry, configure_logging
from shared.runtime.timers import Timers
from shared.wire import MAX_BATCH_BYTES

NAME = "head-office"
KEY_USES = "key-uses"
KEY_USES_SECONDS = 60.0
"""How often the last uses of keys are written."""


@dataclass(frozen=True)
class HeadOfficeService:
    """A head office built from its parts. Its threads run between the start and the stop of `app`."""

    app: FastAPI
    engine: Engine
    wakeups: Wakeups
    timers: Timers
    subscriptions: OfficeSubscriptions
    router: OrderRouter
    authenticator: Authenticator

    def failure(self) -> str | None:
        """Why a thread of it has ended, or None."""
        delivery = self.subscriptions.problem()
        return self.wakeups.failure() or delivery or self.router.problem()

    def close(self) -> None:
        """Close the database connections of an app that was never started."""
        self.engine.dispose()


def build(
    settings: HeadOfficeSettings, clock: Clock, messages: Callable[[Engine], MessageReader] = message_reader
) -> HeadOfficeService:
    """Build head office on the migrated database that the settings name.

    `messages` gives what reads the messages that the logs publish. No thread runs and no connection is open yet. Raises
    SettingsError where no database is named.
    """
    if settings.database_url is None:
        raise SettingsError("head office needs a database: give --database-url or set LARDER_DATABASE_URL")
    url = settings.database_url.get_secret_value()
    telemetry = Telemetry(NAME)
    # A connection for every thread: one that waits for a connection while it holds a lock would be a deadlock.
    engine = postgres_engine(
        url,
        pool_size=settings.threads + settings.ingests + CONNECTIONS + ROUTER_CONNECTIONS + MORNING_CONNECTIONS,
        application_name="larder head-office",
        prepared_statements=settings.prepared_statements,
    )
    listen_url = url if settings.listen_url is None else settings.listen_url.get_secret_value()
    authenticator = Authenticator(
        DatabaseKeys(engine), clock, limiter=RateLimiter(settings.rate_limit_per_second, settings.rate_limit_burst)
    )

    def write_uses() -> None:
        with translated(), engine.begin() as connection:
            record_uses(connection, authenticator.take_uses())

    timers = Timers(telemetry)
    timers.every(KEY_USES_SECONDS, KEY_USES, write_uses)
    router = OrderRouter(engine, settings.heard_within)
    wakeups = Wakeups(
        lambda: listener(listen_url),
        (LOG_CHANNEL, FACTS_CHANNEL, INSTRUCTIONS_CHANNEL, CATALOGUE_CHANNEL),
        {CATALOGUE_CHANNEL: authenticator.invalidate, LOG_CHANNEL: router.wake},
    )
    subscriptions = OfficeSubscriptions(
        engine,
        messages(engine),
        clock=clock,
        new_id=IdFactory(),
        rng=random.Random(secrets.randbits(64)),  # noqa: S311 - jitter, not a secret
        telemetry=telemetry,
        timers=timers,
        allow=settings.webhook_allow,
        user_agent=f"larder/{version('larder')}",
    )
    mornings = OfficeMornings(
        engine,
        smtp_url=settings.smtp_url,
        mail_from=settings.mail_from,
        mail_to=settings.report_mail_to,
        new_id=IdFactory(),
        telemetry=telemetry,
        timers=timers,
    )
    office = Office(engine, authenticator, wakeups, CapacityLimiter(settings.ingests), subscriptions.ingested)
    app = build_app(
        title="Larder head office",
        version=version("larder"),
        guide=read_guide("head_office.api"),
        catalogue=PROBLEMS,
        telemetry=telemetry,
        ready={
            "database": lambda: _schema_fits(engine),
            "wake-ups": wakeups.problem,
            "timers": timers.problem,
        },
        body_limits={EVENTS_PATH: MAX_BATCH_BYTES, INSTRUCTIONS_PATH: MAX_BODY},
        own_budget={EVENTS_PATH},
        on_start=[wakeups.start, timers.start, subscriptions.start, router.start],
        on_stop=[
            engine.dispose,
            timers.stop,
            mornings.stop,
            wakeups.stop,
            subscriptions.stop,
            router.stop,
        ],
    )
    app.router.lifespan_context = _sized(app.router.lifespan_context, settings.threads)
    add_sync_routes(app, office)
    add_transfer_routes(app, office)
    add_item_routes(app, office)
    add_level_routes(app, office)
    add_supplier_routes(app, office)
    add_purchase_order_routes(app, office)
    add_location_routes(app, office)
    add_key_routes(app, office)
    add_stock_routes(app, office)
    add_report_routes(app, office)
    add_variance_route(app, office)
    add_usage_route(app, office)
    add_unmet_demand_route(app, office)
    add_morning_routes(app, office)
    add_purchasing_routes(app, office)
    add_message_routes(app, office)
    add_reservation_routes(app, office, settings.heard_within)
    app.include_router(office_subscription_routes(office, subscriptions.desk))
    app.include_router(office_source_routes(office, clock))
    app.include_router(office_order_routes(office, clock, settings.heard_within))
    add_pages(app, office, clock)
    return HeadOfficeService(app, engine, wakeups, timers, subscriptions, router, authenticator)


Lifespan = Callable[[Any], AbstractAsyncContextManager[Any]]


def _sized(lifespan: Lifespan, threads: int) -> Lifespan:
    """The same lifespan with this number of threads for the routes."""

    @asynccontextmanager
    async def sized(app: Any) -> AsyncIterator[Any]:
        current_default_thread_limiter().total_tokens = threads
        async with lifespan(app) as state:
            yield state

    return sized


def _schema_fits(engine: Engine) -> str | None:
    if pending_upgrade(engine, MIGRATIONS, VERSION_TABLE):
        return "the database is of an older version: restart head office to bring it up to date"
    with engine.connect() as connection:
        connection.execute(text("SELECT 1 FROM catalogue_head"))
    return None


def serve(settings: HeadOfficeSettings, say: Callable[[str], None]) -> int:
    """Run head office until it is stopped; the exit code."""
    configure_logging(file=settings.dir / "logs" / "head-office.log", level=settings.log_level)
    with DATABASE.serving(settings) as database:
        office = build(settings.model_copy(update={"database_url": SecretStr(database.url)}), SystemClock())
        # Without a key: the commands of this machine use the database, and look up here only the address.
        return run_service(
            office.app,
            settings,
            name=NAME,
            key="",
            say=say,
            watch=lambda: office.failure() or database.problem(),
        )
