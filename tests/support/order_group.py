"""A head office and two branches as real processes, and a shop that tells head office of its orders."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

from shared.chain import understand
from shared.events import Event
from tests.support.forked import larder, run_larder
from tests.support.processes import RunningProcess, descendants, free_port, wait_gone
from tests.support.signed_shop import SignedShop
from tests.support.waiting import wait_until

A, B = "BEY-01", "BEY-02"
ORDERS = "/v1/inbound/orders"


def larder_json(*arguments: str | Path) -> Any:
    """A command to its end, which must be a good one; its JSON."""
    done = run_larder(*arguments, "--json")
    assert done.returncode == 0, f"{arguments}: {done.stdout}{done.stderr}"
    return json.loads(done.stdout)


class ServedFolder:
    """A service in a folder: served on a port that it keeps, stopped, killed, served again."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self.folder = folder
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.outputs: list[Path] = []
        self.process: RunningProcess | None = None

    def serve(self) -> None:
        output = self.folder.parent / f"{self.folder.name}-{len(self.outputs)}.log"
        self.outputs.append(output)
        self.process = larder(self.name, "serve", "--dir", self.folder, "--port", str(self.port), output=output)
        self.process.wait_for(f"larder {self.name} ready on ")

    def kill(self) -> None:
        """SIGKILL; the database that it started ends by itself."""
        assert self.process is not None
        owned = descendants(self.process.pid)
        self.process.kill()
        wait_gone(owned)

    def stop(self) -> None:
        if self.process is not None and self.process.returncode is None:
            assert self.process.stop() == 0


class OrderGroup:
    """Served from `with` on. `stocked`: litres of milk that each branch has received, which head office knows then."""

    def __init__(self, folder: Path, stocked: dict[str, int]) -> None:
        self.office = ServedFolder("head-office", folder / "office")
        self.branches = {place: ServedFolder("branch", folder / place) for place in stocked}
        self._stocked = stocked
        self._stack = ExitStack()

    @property
    def services(self) -> list[ServedFolder]:
        return [self.office, *self.branches.values()]

    def __enter__(self) -> Self:
        admin = larder_json("head-office", "init", "--dir", self.office.folder)["key"]
        headers = {"Authorization": f"Bearer {admin}"}
        self.http = self._stack.enter_context(httpx.Client(headers=headers, timeout=30, trust_env=False))
        self._nobody = self._stack.enter_context(httpx.Client(timeout=30, trust_env=False))
        self._stack.callback(self._kill)
        self.office.serve()
        self.call("PUT", "/v1/items/milk", {"name": "Milk", "unit": "l"})
        made = self.call("POST", "/v1/inbound/sources", {"source": "shop"})
        self.shop = SignedShop(
            made["secret"],
            made["path"],
            lambda path, body, headers: self._nobody.post(self.office.url + path, content=body, headers=headers),
        )
        for place, quantity in self._stocked.items():
            here = ("--dir", self.branches[place].folder)
            location = {"location_id": place, "name": place, "timezone": "UTC"}
            key = self.call("POST", "/v1/locations", location)["key"]
            larder_json("branch", "init", "--location", place, "--head-office", self.office.url, "--key", key, *here)
            self.branches[place].serve()
            wait_until(lambda place=place: self._knows_milk(place), 30, what=f"the catalogue at {place}")  # type: ignore[misc]
            larder_json("branch", "record", "delivery", "milk", str(quantity), *here)
        wait_until(lambda: self.stock() == {place: (n, 0) for place, n in self._stocked.items()}, 30, what="stock")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def _kill(self) -> None:
        for service in self.services:
            if service.process is not None and service.process.returncode is None:
                service.kill()

    def _knows_milk(self, place: str) -> bool:
        return "milk" in run_larder("branch", "items", "list", "--dir", self.branches[place].folder, "--json").stdout

    def call(self, method: str, path: str, body: Any = None, **params: Any) -> Any:
        """What head office answers an admin."""
        answer = self.http.request(method, self.office.url + path, json=body, params=params)
        assert answer.is_success, answer.text
        return answer.json()

    def stock(self) -> dict[str, tuple[float, float]]:
        """On hand and reserved by location, as head office has it."""
        items = self.call("GET", "/v1/stock", item_id="milk")["items"]
        return {each["location_id"]: (each["on_hand"], each["reserved"]) for each in items}

    def order(self, order_id: str) -> Any:
        return self.call("GET", f"{ORDERS}/shop/{order_id}")

    def settled(self, order_id: str, state: str) -> Any:
        """The order once it is in a state."""
        return wait_until(lambda: found if (found := self.order(order_id))["state"] == state else None, 30, what=state)

    def orders(self) -> Iterator[Any]:
        """The whole records of all orders."""
        params: dict[str, Any] = {"limit": 100}
        while True:
            page = self.call("GET", ORDERS, **params)
            yield from (self.order(each["order_id"]) for each in page["items"])
            if page["next"] is None:
                return
            params["after"] = page["next"]

    def log(self, place: str) -> list[Event]:
        """The log as the branch's own database has it."""
        with sqlite3.connect(f"file:{self.branches[place].folder / 'branch.db'}?mode=ro", uri=True) as db:
            return [understand(bytes(line)) for (line,) in db.execute("SELECT line FROM event ORDER BY sequence")]

    def judge(self) -> None:
        """All three verify, and nothing that was not expected was printed."""
        shipped = {place: len(self.log(place)) for place in self.branches}

        def arrived() -> bool:
            found = {
                each["location_id"]: each["head"]["sequence"] for each in self.call("GET", "/v1/locations")["items"]
            }
            return found == shipped

        wait_until(arrived, 30, what="the logs at head office")
        for service in self.services:
            found = larder_json(service.name, "verify", "--dir", service.folder)
            assert found["true" if service.name == "branch" else "ok"] is True, found
            for output in service.outputs:
                assert "Traceback" not in output.read_text(), output.read_text()[-3_000:]
