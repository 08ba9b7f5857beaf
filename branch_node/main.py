"""Builds a branch's node and runs it."""

from __future__ import annotations

import random
import secrets
from collections.abc import Callable

import httpx

from branch_node.api.router import build_api
from branch_node.database.keys.api_keys import new_local_key
from branch_node.database.store import Store
from branch_node.node import NAME, Node
from branch_node.pages.page_routes import add_pages
from branch_node.settings import BranchSettings
from branch_node.subscriptions.published_messages import message_reader
from shared.outbox.message_source import MessageReader
from shared.runtime.clock import Clock, IdFactory, SystemClock
from shared.runtime.database.engine import wait_for_database
from shared.runtime.http.server import run_service
from shared.runtime.telemetry import configure_logging

PATIENCE_SECONDS = 10.0


def build(
    settings: BranchSettings,
    clock: Clock | None = None,
    transport: httpx.BaseTransport | None = None,
    *,
    new_id: Callable[[int], str] | None = None,
    rng: random.Random | None = None,
    messages: Callable[[Store, str], MessageReader] = message_reader,
) -> Node:
    """Build the node of these settings on its database, which `init` created; nothing runs yet.

    `transport` is the HTTP transport to head office, None for the network. `messages` gives what
    reads the messages that the log publishes. Raises Problem where the database is unavailable.
    """
    store = Store(settings.database_url, settings.dir)
    node = Node(
        settings,
        store,
        clock=clock or SystemClock(),
        new_id=new_id or IdFactory(),
        rng=rng or random.Random(secrets.randbits(64)),  # noqa: S311 - jitter, not a secret
        transport=transport,
        local_key=new_local_key(),
        messages=messages(store, settings.location),
    )
    node.app = build_api(node)
    add_pages(node.app, node)
    return node


def serve(settings: BranchSettings, say: Callable[[str], None]) -> int:
    """Run the node until a signal stops it or one of its threads dies; the exit code."""
    configure_logging(file=settings.dir / "logs" / "branch.log", level=settings.log_level)
    _wait_for_postgresql(settings)
    node = build(settings)
    try:
        node.open(patience=PATIENCE_SECONDS)
        node.start()
        return run_service(node.app, settings, name=NAME, key=node.local_key, say=say, watch=node.problem)
    finally:
        node.stop()


def _wait_for_postgresql(settings: BranchSettings) -> None:
    """Wait for a PostgreSQL that starts after the node. Raises Problem where it does not become available."""
    store = Store(settings.database_url, settings.dir)
    if not store.on_sqlite:
        engine = store.writing_engine()
        try:
            wait_for_database(engine)
        finally:
            engine.dispose()
