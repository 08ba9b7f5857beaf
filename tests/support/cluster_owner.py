"""A program that owns a PostgreSQL: says where it is, serves until its input ends, then stops it and says so.

    python cluster_owner.py DIRECTORY BINARIES [--fork]

With --fork it first leaves a child behind that inherits all it has.
"""

import json
import os
import signal
import sys
from pathlib import Path

import psycopg

from shared.runtime.postgres import launcher


def main() -> None:
    directory, binaries = Path(sys.argv[1]), Path(sys.argv[2])
    signal.signal(signal.SIGINT, lambda *_: None)
    with launcher.start(directory, binaries=binaries) as cluster:
        cluster.create_database("kitchen")
        with psycopg.connect(cluster.conninfo("kitchen")) as connection:
            connection.execute("CREATE TABLE IF NOT EXISTS shelf (jars int)")
        child = None
        if "--fork" in sys.argv:
            child = os.fork()
            if child == 0:
                signal.pause()
        print(json.dumps({"conninfo": cluster.conninfo("kitchen"), "port": cluster.port, "child": child}), flush=True)
        sys.stdin.read()
    print("stopped", flush=True)


if __name__ == "__main__":
    main()
