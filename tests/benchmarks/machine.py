"""What the benchmarks ran on, and what its processes took."""

from __future__ import annotations

import os
import platform
import sqlite3
import statistics
import tempfile
import time
from contextlib import suppress
from importlib import metadata
from pathlib import Path

import psutil

from shared.runtime.postgres import launcher

SYNCS = 300


def describe(folder: Path) -> dict[str, object]:
    """Cores, memory, what a sync costs in `folder`, versions, and how busy others keep the machine right now."""
    return {
        "cores": os.cpu_count(),
        "processor": _processor(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "fdatasync_ms": round(fdatasync_seconds(folder) * 1_000, 3),
        "busy_before": round(psutil.cpu_percent(interval=1.0) / 100, 2),
        "load_average": round(os.getloadavg()[0], 2),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "postgresql": _postgresql(),
        **{name: metadata.version(name) for name in ("fastapi", "uvicorn", "pydantic", "psycopg", "eventsourcing")},
    }


def _postgresql() -> str:
    binaries = launcher.find_binaries(Path(os.environ["LARDER_PG_BIN"]) if "LARDER_PG_BIN" in os.environ else None)
    return os.popen(f"'{binaries}/postgres' --version").read().split()[-1]


def _processor() -> str:
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def fdatasync_seconds(folder: Path) -> float:
    """The median time of one fdatasync after a write of 4 KiB, in seconds."""
    taken = []
    with tempfile.TemporaryFile(dir=folder, buffering=0) as file:
        for number in range(SYNCS):
            os.pwrite(file.fileno(), bytes(4_096), number * 4_096)
            begin = time.perf_counter()
            os.fdatasync(file.fileno())
            taken.append(time.perf_counter() - begin)
    return statistics.median(taken)


def spin_seconds() -> float:
    """How long a fixed piece of arithmetic takes now: longer than the shortest ever seen means that others ran."""
    begin = time.perf_counter()
    total = 0
    for number in range(300_000):
        total += number
    return time.perf_counter() - begin


def noise(spins: list[float]) -> float:
    """How much slower than at its best the machine was, in the median while nothing of ours ran: 1 is quiet."""
    return statistics.median(spins) / min(spins) if spins else 1.0


def peak_memory(pid: int) -> int:
    """The most resident memory (bytes) that the process and its living children had; a database server not counted."""
    total = 0
    with suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        for each in [process, *process.children(recursive=True)]:
            with suppress(psutil.NoSuchProcess, OSError):
                if each.name() != "postgres" and "postgres_supervisor" not in " ".join(each.cmdline()):
                    total += _high_water(each.pid)
    return total


def _high_water(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1_024
    return psutil.Process(pid).memory_info().rss


def disk_bytes(path: Path) -> int:
    return sum(each.stat().st_size for each in path.parent.glob(path.name + "*"))


def resident_memory(pid: int) -> int:
    """The resident memory (bytes) of a process now."""
    return int(psutil.Process(pid).memory_info().rss)
