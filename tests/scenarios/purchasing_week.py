"""A purchasing office's week: head office, two branches with their agents, and the office's program, which orders what
the report says and books what comes: in part, over, twice, back, late, and at a branch whose node is down."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from threading import Timer
from typing import Any

import httpx

from tests.scenarios import purchasing_client
from tests.scenarios.outcome import Course, Scenario
from tests.scenarios.purchasing_days import ONE, TWO
from tests.support.processes import RunningProcess, clean_environment, free_port, larder, run_larder

TIMEOUT_SECONDS = 180.0
ITEMS = {"flour": ("Flour", "kg"), "milk": ("Milk", "l"), "oil": ("Oil", "l")}
PLACES = (ONE, TWO)


def _json(*arguments: str | Path) -> Any:
    done = run_larder(*arguments, "--json")
    if done.returncode != 0:
        raise RuntimeError(done.stderr or done.stdout)
    return json.loads(done.stdout)


class PurchasingGroup:
    """The group's services, which their engineer starts and stops. Leaving the `with` ends them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._stack = ExitStack()
        self._running: dict[str, RunningProcess] = {}
        self._ports = {name: free_port() for name in ("office", *PLACES)}

    def __enter__(self) -> PurchasingGroup:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def url(self, name: str) -> str:
        return f"http://127.0.0.1:{self._ports[name]}"

    def folder(self, name: str) -> Path:
        return self._folder / name

    def serve(self, name: str) -> None:
        kind = "head-office" if name == "office" else "branch"
        log = self._folder / f"{name}-{len(list(self._folder.glob('*.log')))}.log"
        port = str(self._ports[name])
        node = self._stack.enter_context(larder(kind, "serve", "--dir", self.folder(name), "--port", port, output=log))
        node.wait_for("ready on http", timeout=60)
        self._running[name] = node

    def stop(self, name: str) -> bool:
        return self._running.pop(name).stop() == 0

    def stop_all(self) -> bool:
        """In the order in which an engineer would; whether all ended well."""
        return [self.stop(name) for name in (*PLACES, "office") if name in self._running].count(False) == 0

    def build(self) -> dict[str, Any]:
        """Everything up to the first day; what the office's program is told."""
        admin = _json("head-office", "init", "--dir", self.folder("office"))["key"]
        self.serve("office")
        told: dict[str, Any] = {"branches": {}}
        headers = {"Authorization": f"Bearer {admin}"}
        with httpx.Client(base_url=self.url("office"), headers=headers, timeout=30, trust_env=False) as http:

            def done(method: str, path: str, body: dict[str, Any]) -> Any:
                answer = http.request(method, path, json=body)
                if not answer.is_success:
                    raise RuntimeError(answer.text)
                return answer.json()

            for item_id, (name, unit) in ITEMS.items():
                done("PUT", f"/v1/items/{item_id}", {"name": name, "unit": unit})
            purchaser = done("POST", "/v1/keys", {"role": "purchasing"})["key"]
            told["office"] = {"url": self.url("office"), "key": purchaser, "folder": str(self.folder("office"))}
            for place in PLACES:
                location = {"location_id": place, "name": f"Beirut {place}", "timezone": "UTC"}
                key = done("POST", "/v1/locations", location)["key"]
                manager = done("POST", "/v1/keys", {"role": "manager", "location_id": place})["key"]
                line = ("--head-office", self.url("office"), "--key", key)
                _json("branch", "init", "--location", place, "--timezone", "UTC", *line, "--dir", self.folder(place))
                self.serve(place)
                told["branches"][place] = {"url": self.url(place), "key": manager, "folder": str(self.folder(place))}
        return told


def play(folder: Path) -> Course:
    """Play the week; what the office did, and whether its books and the system agree."""
    course = Course(
        did="a purchasing office's week: ordered by the report; came in part, over, twice, back, late, offline",
        mended_by="a void, a return, a close, the node's next start",
    )
    with PurchasingGroup(folder) as group:
        told = folder / "told.json"
        told.write_text(json.dumps(group.build()), encoding="utf-8")
        _run_office(course, group, told)
        verified = [_json("branch", "verify", "--deep", "--dir", group.folder(place)) for place in PLACES]
        course.check("both logs verify, and every figure is its fold", all(bool(each["true"]) for each in verified))
        checked = _json("head-office", "verify", "--dir", group.folder("office"))
        course.check("head office's copy verifies", checked["ok"] is True)
        course.check("all services end well", group.stop_all())
    return course


def _run_office(course: Course, group: PurchasingGroup, told: Path) -> None:
    errors = told.with_name("office-program.log")
    with (
        errors.open("wb") as log,
        subprocess.Popen(
            [sys.executable, purchasing_client.__file__, str(told)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            env=clean_environment(),
        ) as office,
    ):
        assert office.stdin is not None
        assert office.stdout is not None
        timer = Timer(TIMEOUT_SECONDS, office.kill)
        timer.start()
        try:
            for line in office.stdout:
                _heard(course, group, json.loads(line))
                if '"kind": "ask"' in line:
                    office.stdin.write("done\n")
                    office.stdin.flush()
        except BaseException:
            office.kill()
            raise
        finally:
            timer.cancel()
    course.check("the office's program ended well", office.returncode == 0)
    if office.returncode:
        course.said.append(errors.read_text(encoding="utf-8")[-1_000:])


def _heard(course: Course, group: PurchasingGroup, told: dict[str, Any]) -> None:
    match told["kind"]:
        case "said":
            course.said.append(told["text"])
        case "check":
            course.check(told["what"], told["ok"])
        case "ask" if told["what"] == "stop":
            course.check(f"the node of {told['place']} stops in order", group.stop(told["place"]))
        case "ask":
            group.serve(told["place"])


PURCHASING_WEEK = Scenario(name="purchasing-week", play=play)
