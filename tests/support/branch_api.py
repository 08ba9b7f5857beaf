"""A branch's API over a real writer thread, called in this process, for tests of routes."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from branch_node.api.router import build_api
from branch_node.database.store import Store
from branch_node.subscriptions.branch_subscriptions import BranchSubscriptions
from branch_node.subscriptions.published_messages import message_reader
from branch_node.sync.shipping_status import ShippingState, ShippingStatus, StatusBoard
from branch_node.writer.writer import Writer
from shared.outbox.message_source import MessageReader
from shared.runtime.clock import IdFactory, NodeClock
from shared.runtime.http.auth import Authenticator, StoredKey, generate_key
from shared.runtime.http.scopes import Role
from shared.runtime.telemetry import Telemetry
from tests.support.branch import ITEMS, PLACE, PutItems, TestClock, branch_store


class Keys:
    """A key for each role, and one of another branch."""

    def __init__(self) -> None:
        self.stored: dict[str, StoredKey] = {}
        self.text = {role.value: self._make(role, PLACE) for role in Role}
        self.text["other"] = self._make(Role.MANAGER, "TRI-01")
        self.text["group"] = self._make(Role.MANAGER, None)

    def _make(self, role: Role, place: str | None) -> str:
        key = generate_key()
        self.stored[key.key_id] = StoredKey(key.key_id, key.digest, role, place)
        return key.text

    def lookup(self, key_id: str) -> StoredKey | None:
        return self.stored.get(key_id)


class SmallNode:
    """The parts of a node that the API needs, without agent or witness."""

    def __init__(self, store: Store, clock: TestClock, keys: Any, messages: MessageReader | None = None) -> None:
        self.location_id = PLACE
        self.store = store
        self.clock = NodeClock(clock)
        self.writer = Writer(store, self.clock, IdFactory())
        self.authenticator = Authenticator(keys, self.clock, attempts=10_000)
        self.board = StatusBoard(ShippingStatus(state=ShippingState.NO_HEAD_OFFICE))
        self.telemetry = Telemetry("branch")
        self.subscriptions = BranchSubscriptions(
            location_id=PLACE,
            store=store,
            writer=self.writer,
            reader=messages or message_reader(store, PLACE),
            clock=self.clock,
            new_id=IdFactory(),
            rng=random.Random(1),
            telemetry=self.telemetry,
            allow="127.0.0.0/8",
            user_agent="larder/test",
        )

    def unshipped(self) -> int:
        return self.writer.head.sequence

    def not_ready(self) -> str | None:
        return None


class Caller:
    """Sends requests to the app of a node, as a manager unless told otherwise."""

    def __init__(self, node: SmallNode, keys: Keys) -> None:
        self.node = node
        self.keys = keys
        self.app = build_api(node)
        self._transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
        self._loop = asyncio.new_event_loop()

    def send(
        self, method: str, path: str, body: Any = None, *, role: str | None = "manager", raw: bytes | None = None,
        key: str | None = None, headers: Mapping[str, str] | list[tuple[str, str]] | None = None, **params: Any,
    ) -> httpx.Response:  # fmt: skip
        return self._loop.run_until_complete(
            self.send_async(method, path, body, role=role, raw=raw, key=key, headers=headers, **params)
        )

    async def send_async(
        self, method: str, path: str, body: Any = None, *, role: str | None = "manager", raw: bytes | None = None,
        key: str | None = None, headers: Mapping[str, str] | list[tuple[str, str]] | None = None, **params: Any,
    ) -> httpx.Response:  # fmt: skip
        pairs = list(headers.items()) if isinstance(headers, Mapping) else headers or []
        sent = httpx.Headers([(name.encode("latin-1"), value.encode("latin-1")) for name, value in pairs])
        if role is not None:
            sent["Authorization"] = f"Bearer {self.keys.text.get(role, role)}"
        if key is not None:
            sent["Idempotency-Key"] = key
        async with httpx.AsyncClient(transport=self._transport, base_url="http://branch") as client:
            if raw is not None:
                return await client.request(method, path, content=raw, headers=sent, params=params or None)
            return await client.request(method, path, json=body, headers=sent, params=params)

    def post(self, path: str, body: Any = None, **more: Any) -> httpx.Response:
        return self.send("POST", path, body, **more)

    def get(self, path: str, **params: Any) -> httpx.Response:
        return self.send("GET", path, None, raw=b"", **params)

    def gather(self, requests: list[tuple[str, str, Any, dict[str, Any]]]) -> list[httpx.Response]:
        """Many at once: (method, path, body, keyword arguments of `send`)."""

        async def all_of_them() -> list[httpx.Response]:
            return list(await asyncio.gather(*(self.send_async(m, p, b, **more) for m, p, b, more in requests)))

        return self._loop.run_until_complete(all_of_them())

    def close(self) -> None:
        self._loop.run_until_complete(self._loop.shutdown_default_executor())
        self._loop.close()


@contextmanager
def a_caller(folder: Path, url: str | None = None, messages: MessageReader | None = None) -> Iterator[Caller]:
    """The API of a fresh branch whose writer runs; with subscriptions to `messages`, whose deliverer is not started."""
    store = branch_store(folder, url)
    keys = Keys()
    node = SmallNode(store, TestClock(), keys, messages)
    node.writer.open()
    node.writer.commit([PutItems(ITEMS)])
    node.writer.start()
    caller = Caller(node, keys)
    try:
        yield caller
    finally:
        node.writer.stop()
        caller.close()
        node.writer.close()
        store.close()
