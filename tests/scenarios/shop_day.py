"""A shop's day at a branch that has no line to head office: placed, sent in two parcels, cancelled, expired, returned,
refused. The shop is a program of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.scenarios import shop_client
from tests.scenarios.outcome import Course, Scenario
from tests.support.processes import clean_environment, larder, run_larder

TIMEOUT_SECONDS = 120.0


def _json(*arguments: str | Path) -> Any:
    done = run_larder(*arguments, "--json")
    if done.returncode != 0:
        raise RuntimeError(done.stderr or done.stdout)
    return json.loads(done.stdout)


def play(folder: Path) -> Course:
    """Play the day; what the shop did, was answered and received."""
    here = ("--dir", folder / "branch")
    _json("branch", "init", "--location", "BEY-01", "--timezone", "Asia/Beirut", *here)
    _json("branch", "items", "add", "milk", "--name", "Milk", "--unit", "l", *here)
    _json("branch", "record", "delivery", "milk", "50", *here)
    course = Course(did="a shop's day: placed, two parcels, cancelled, expired, returned, refused")
    with larder("branch", "serve", "--port", "0", *here, output=folder / "serve.log") as node:
        url = node.wait_for(r"ready on (http://127\.0\.0\.1:\d+)")[1]
        key = _json("branch", "keys", "add", "--role", "integration", "--scope", "restock", *here)["key"]
        shop = subprocess.run(
            [sys.executable, shop_client.__file__, url, key],
            capture_output=True,
            text=True,
            check=False,
            timeout=TIMEOUT_SECONDS,
            env=clean_environment(),
        )
        for line in shop.stdout.splitlines():
            _tell(course, json.loads(line))
        course.check("the shop's program ended well", shop.returncode == 0)
        if shop.returncode:
            course.said.append(shop.stderr[-500:])
        node.stop()
    verified = _json("branch", "verify", "--deep", *here)
    course.check("the log verifies, and every figure is its fold", bool(verified["true"]))
    return course


def _tell(course: Course, told: dict[str, Any]) -> None:
    match told["kind"]:
        case "step":
            on_hand, reserved, available = told["stock"]
            figures = f"on hand {on_hand:g}, reserved {reserved:g}, available {available:g}"
            course.said.append(f"{told['did']}: {told['said']}; {figures}")
            course.check(told["did"], told["ok"])
        case "message":
            lines = "; ".join(
                ", ".join(f"{name} {value}" for name, value in line.items() if name not in {"event_id", "event_type"})
                for line in told["lines"]
            )
            course.said.append(f"received {told['type']}: {lines}")
        case "check":
            course.check(told["what"], told["ok"])


SHOP_DAY = Scenario(name="shop-day", play=play)
