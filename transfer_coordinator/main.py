"""Builds the transfer coordinator, and runs it."""

from __future__ import annotations

import secrets
import socket
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from typing import Final

import httpx
from fastapi import FastAPI
from pydantic import SecretStr
from sqlalchemy import Engine

from shared.runtime.client import ServiceClient
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
from transfer_coordinator.api.transfer_routes import TransferApi, add_routes
from transfer_coordinator.database.connections import DATABASE
from transfer_coordinator.database.schema import MIGRATIONS, VERSION_TABLE
from transfer_coordinator.office.group_catalogue import LOCAL, Catalogue
from transfer_coordinator.office.head_office_client import HeadOfficeClient
from transfer_coordinator.problems import PROBLEMS
from transfer_coordinator.saga.planner import Policy
from transfer_coordinator.settings import CoordinatorSettings
from transfer_coordinator.worker.runner import Runner
from transfer_coordinator.worker.worker import CoordinatorWorker

NAME: Final = "transfer"
POOL: Final = 12
ASK_SECONDS: Final = 10.0


@dataclass(frozen=True)
class Coordinator:
    """A coordinator with all its parts. Its threads run between the start and the stop of `app`.

    Without them `worker.step()` does everything, and a route runs the round that it waits for.
    """

    app: FastAPI
    engine: Engine
    worker: CoordinatorWorker
    catalogue: Catalogue
    runner: Runner
    local_key: str

    def close(self) -> None:
        """Close database and connections, where the app was never started."""
        self.worker.close()
        self.engine.dispose()


def build(
    settings: CoordinatorSettings,
    clock: Clock | None = None,
    transport: httpx.BaseTransport | None = None,
    *,
    holder: str | None = None,
    new_id: Callable[[int], str] | None = None,
    policy: Policy | None = None,
) -> Coordinator:
    """Build the coordinator on the database that the settings name, which must be migrated; nothing runs yet.

    `transport` is how it reaches head office, None: the network. `holder` names this process in leases and journal.
    Raises SettingsError where no database is named.
    """
    if settings.database_url is None:
        raise SettingsError("the coordinator needs a database: give --database-url or set LARDER_DATABASE_URL")
    clock = clock or SystemClock()
    key = settings.key.get_secret_value()
    telemetry = Telemetry("transfer-coordinator")
    engine = postgres_engine(
        settings.database_url.get_secret_value(),
        pool_size=POOL,
        application_name="larder transfer",
        prepared_statements=settings.prepared_statements,
    )

    def client() -> ServiceClient:
        agent = f"larder-transfer/{version('larder')}"
        return ServiceClient(settings.head_office, key=key, timeout=ASK_SECONDS, transport=transport, user_agent=agent)

    local_key = f"lk_{LOCAL}_{secrets.token_urlsafe(32)}"
    catalogue = Catalogue(engine, client(), clock, own_key=key, local_key=local_key)
    limiter = RateLimiter(settings.rate_limit_per_second, settings.rate_limit_burst, exempt={LOCAL})
    authenticator = Authenticator(catalogue, clock, known=catalogue.holds, limiter=limiter)
    catalogue.keys_changed = authenticator.invalidate
    worker = CoordinatorWorker(
        engine,
        HeadOfficeClient(client()),
        HeadOfficeClient(client()),
        clock,
        holder=holder or f"{socket.gethostname()}-{secrets.token_hex(4)}",
        telemetry=telemetry,
        policy=policy or Policy(lease=settings.lease_seconds, ask_again=settings.ask_again_seconds),
    )
    timers = Timers(telemetry)
    runner = Runner(worker, catalogue, timers)
    app = build_app(
        title="Larder transfer coordinator",
        version=version("larder"),
        guide=read_guide("transfer_coordinator.api"),
        catalogue=PROBLEMS,
        telemetry=telemetry,
        ready={
            "database": lambda: _schema_problem(engine),
            "threads": runner.problem,
            "timers": timers.problem,
            "catalogue": lambda: _catalogue_problem(catalogue),
        },
        on_start=[runner.start],
        on_stop=[engine.dispose, worker.close, runner.stop],
    )
    api = TransferApi(engine, worker, catalogue, authenticator, clock, new_id or IdFactory(), lambda: runner.running)
    add_routes(app, api)
    return Coordinator(app, engine, worker, catalogue, runner, local_key)


def _schema_problem(engine: Engine) -> str | None:
    if pending_upgrade(engine, MIGRATIONS, VERSION_TABLE):
        return "the database is of an older version: restart the coordinator to bring it up to date"
    return None


def _catalogue_problem(catalogue: Catalogue) -> str | None:
    return None if catalogue.known().version else "nothing is known of the group: head office was not reached yet"


def serve(settings: CoordinatorSettings, say: Callable[[str], None]) -> int:
    """Run the coordinator until it is stopped or one of its threads dies; returns the exit code."""
    configure_logging(file=settings.dir / "logs" / "transfer.log", level=settings.log_level)
    with DATABASE.serving(settings) as database:
        built = build(settings.model_copy(update={"database_url": SecretStr(database.url)}))
        built.catalogue.refresh()
        return run_service(
            built.app,
            settings,
            name=NAME,
            key=built.local_key,
            say=say,
            watch=lambda: built.runner.problem() or database.problem(),
        )
