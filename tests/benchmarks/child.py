"""Runs `module:function` with keyword arguments from standard input (JSON) and prints its answer as a line of JSON."""

import importlib
import json
import sys


def main() -> None:
    module, _, function = sys.argv[1].partition(":")
    arguments = json.load(sys.stdin)
    answer = getattr(importlib.import_module(f"tests.benchmarks.{module}"), function)(**arguments)
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
