"""`python -m tests.scenarios [NAME ...] [--json]`: play scenarios, a line each. Exit code 1 where one fails."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

import msgspec

from tests.scenarios.outcome import Course, Scenario, ScenarioOutcome, line_of, outcome_of
from tests.scenarios.purchasing_week import PURCHASING_WEEK
from tests.scenarios.shop_day import SHOP_DAY

SCENARIOS: tuple[Scenario, ...] = (SHOP_DAY, PURCHASING_WEEK)


def run(scenario: Scenario) -> ScenarioOutcome:
    """Play one scenario in a folder of its own, which is removed."""
    start = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="larder-scenario-") as folder:
        try:
            course = scenario.play(Path(folder))
        except Exception as error:  # noqa: BLE001 - one that breaks off is told as failed
            course = Course(did="it broke off", said=[f"{type(error).__name__}: {error}"])
            course.check("it was played to its end", ok=False)
    return outcome_of(scenario.name, course, time.monotonic() - start)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.scenarios")
    parser.add_argument("names", nargs="*", metavar="NAME", help="scenarios to play; all if none is named")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    options = parser.parse_args()
    by_name = {each.name: each for each in SCENARIOS}
    unknown = [name for name in options.names if name not in by_name]
    if unknown:
        print(f"there is no scenario {', '.join(unknown)}; there are {', '.join(by_name)}", file=sys.stderr)
        return 2
    failed = False
    for scenario in [by_name[name] for name in options.names] or SCENARIOS:
        outcome = run(scenario)
        failed = failed or not outcome.ok
        if options.json:
            print(msgspec.json.encode(outcome).decode(), flush=True)
            continue
        print(line_of(outcome), flush=True)
        for line in outcome.said:
            print(f"       {line}", flush=True)
        for check in outcome.checks:
            if not check.ok:
                print(f"       NOT SO: {check.what}", flush=True)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
