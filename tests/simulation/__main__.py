"""`python -m tests.simulation`: one seed again, step by step, or new seeds for as long as wanted (`make soak`)."""

from __future__ import annotations

import argparse
import secrets
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from tests.simulation.history import STEPS
from tests.simulation.playing import missing, play
from tests.simulation.rule_broken import RuleBroken
from tests.support.databases import database_server


def main() -> int:
    """0 when every rule held, 1 when one did not."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seed", type=int, help="play this one history, aloud")
    parser.add_argument("--steps", type=int, default=STEPS, help="steps of a history")
    parser.add_argument("--minutes", type=float, default=30.0, help="without --seed: how long to play new ones")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, database_server(Path(folder) / "pg") as databases:
        if asked.seed is not None:
            print(play(databases, asked.seed, asked.steps, aloud=True))
            return 0
        total: Counter[str] = Counter()
        first = seed = secrets.randbelow(2**31)
        deadline = time.monotonic() + asked.minutes * 60
        while time.monotonic() < deadline:
            try:
                total += play(databases, seed, asked.steps)
            except RuleBroken as broken:
                print(f"{broken}\n" + "\n".join(broken.__notes__), file=sys.stderr)
                return 1
            seed += 1
            print(f"\r{seed - first} histories", end="", flush=True)
    print()
    for fault, times in total.most_common():
        print(f"{times:>8}  {fault}")
    if missing(total):
        print(f"never injected: {missing(total)}", file=sys.stderr)
    return 1 if missing(total) else 0


if __name__ == "__main__":
    sys.exit(main())
