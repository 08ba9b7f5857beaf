"""The timers of a service: jobs at intervals in a thread of their own, whose failures are counted and told."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from threading import Lock
from typing import Final, NamedTuple

from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler

from shared.runtime.database.engine import translate_driver_errors
from shared.runtime.problems import Problem
from shared.runtime.telemetry import Telemetry, get_logger

log = get_logger("larder.timers")

MAX_REASON: Final = 300


class _Job(NamedTuple):
    run: Callable[[], object]
    seconds: float
    at_once: bool
    vital: bool


class Timers:
    """Runs each job every so many seconds, never twice at a time.

    A run that raises is logged and counted (``larder_timer_failures_total`` by job); the job runs again at its next
    time. ``problem`` says which vital jobs failed the last time that they ran.
    """

    def __init__(self, telemetry: Telemetry) -> None:
        self._jobs: dict[str, _Job] = {}
        self._failing: dict[str, str] = {}
        self._lock = Lock()
        self._scheduler: BackgroundScheduler | None = None
        self._failures = telemetry.counter("timer_failures", "Runs of a timer's job that raised", ["job"])

    def every(
        self, seconds: float, name: str, job: Callable[[], object], *, at_once: bool = False, vital: bool = True
    ) -> None:
        """Add a job, before ``start``. ``name`` is its name in metrics, logs and ``problem``.

        ``at_once``: it first runs at the start, otherwise so many seconds after it. ``vital``: where it fails the
        service is not ready; otherwise its requests are answered all the same, and only metrics and logs tell.
        """
        self._jobs[name] = _Job(job, seconds, at_once, vital)
        self._failures.labels(name)  # so that it is shown as 0

    def start(self) -> None:
        """Start the jobs that were added; nothing runs where there is none."""
        if not self._jobs or self._scheduler is not None:
            return
        workers = ThreadPoolExecutor(len(self._jobs), {"thread_name_prefix": "larder-timers"})
        scheduler = BackgroundScheduler(daemon=True, timezone="UTC", executors={"default": workers})
        for name, job in self._jobs.items():
            scheduler.add_job(
                self.run,
                "interval",
                (name,),
                seconds=job.seconds,
                coalesce=True,
                max_instances=1,
                misfire_grace_time=None,
                **({"next_run_time": datetime.now(UTC)} if job.at_once else {}),
            )
        scheduler.start()
        self._scheduler = scheduler

    def stop(self, *, wait: bool = False) -> None:
        """Run nothing any more. ``wait``: until what runs has ended. Idempotent."""
        scheduler, self._scheduler = self._scheduler, None
        if scheduler is not None:
            scheduler.shutdown(wait=wait)

    def run(self, name: str) -> None:
        """Run a job once, now."""
        try:
            with translate_driver_errors():
                self._jobs[name].run()
        except Exception as error:
            self._failures.labels(name).inc()
            if isinstance(error, Problem):
                # Refused, or the database is away, which comes and goes: where it happened says nothing.
                log.warning("a timer's job failed", job=name, why=str(error))
            else:
                log.exception("a timer's job failed", job=name)
            with self._lock:
                if not self._jobs[name].vital:
                    return
                self._failing[name] = f"{name} failed: {type(error).__name__}: {error}"[:MAX_REASON]
        else:
            with self._lock:
                self._failing.pop(name, None)

    def problem(self) -> str | None:
        """The vital jobs whose last run failed, and why; None where there is none."""
        with self._lock:
            return "; ".join(self._failing.values()) or None
