"""Yardstick: one hot row in PostgreSQL, `UPDATE … SET quantity = quantity − n`, 32 clients of pgbench."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import psycopg

from shared.runtime.postgres import launcher
from tests.benchmarks.harness import Bench, Figures
from tests.support.processes import clean_environment

CLIENTS = 32
START = 1_000_000_000


def binaries() -> Path:
    override = os.environ.get("LARDER_PG_BIN")
    return launcher.find_binaries(Path(override) if override else None)


class HotRow:
    """A table with one row, and a client program that is not written in Python."""

    def __init__(self, bench: Bench) -> None:
        self._cluster = bench.cluster("one")
        self._database = bench.database(self._cluster, "hot")
        self._conninfo = self._cluster.conninfo(self._database)
        with psycopg.connect(self._conninfo, autocommit=True) as connection:
            connection.execute("CREATE TABLE stock (item_id text PRIMARY KEY, quantity bigint NOT NULL)")
            connection.execute("INSERT INTO stock VALUES ('item-0001', %s)", [START])
        self._script = bench.new_folder("hot") / "deduct.sql"
        self._script.write_text("UPDATE stock SET quantity = quantity - 1000 WHERE item_id = 'item-0001';\n")
        self._each = max(1, bench.scale(10_000) // CLIENTS)

    def update(self) -> Figures:
        """Deduct, checking that none was lost. Updates a second, connecting not counted."""
        before = self._quantity()
        command = [
            str(binaries() / "pgbench"), "--no-vacuum", f"--client={CLIENTS}", "--jobs=2", "--protocol=prepared",
            f"--transactions={self._each}", f"--file={self._script}", self._conninfo,
        ]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, check=True, env=clean_environment())
        match = re.search(r"^tps = ([0-9.]+) \(without initial connection time\)", done.stdout, re.MULTILINE)
        lost = before - self._quantity() - self._each * CLIENTS * 1_000
        if match is None or lost:
            raise RuntimeError(f"pgbench lost {lost}:\n{done.stdout}")
        return {"rate": float(match[1])}

    def _quantity(self) -> int:
        with psycopg.connect(self._conninfo) as connection:
            row = connection.execute("SELECT quantity FROM stock").fetchone()
        assert row is not None
        return int(row[0])
