"""Logs and metrics of one service.

Logs are JSON lines in a file (rotated, at most 60 MB) and readable text on a terminal. Secrets
are redacted in both: keys, Authorization headers and passwords in URLs are removed from the finished line, tracebacks
included. Each service has its own metrics registry, so several services can run in one process.
"""

from __future__ import annotations

import logging
import logging.handlers
import re
import sys
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final, TextIO

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, ProcessCollector
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector
from structlog.typing import EventDict, Processor, WrappedLogger

_SECRETS: Final = (
    (re.compile(r"\blk_([a-z0-9]{1,32})_[A-Za-z0-9_-]{8,}"), r"lk_\1_[redacted]"),
    (re.compile(r"(?i)(authorization\W{1,6}(?:bearer|basic)\s+)[^\s\"',}]+"), r"\1[redacted]"),
    (re.compile(r"(?i)(\b[a-z][a-z0-9+.-]{1,20}://[^\s:/@]{1,100}:)[^\s@/]{1,200}@"), r"\1[redacted]@"),
    (re.compile(r"(?i)(\bpassword\W{1,6})[^\s\"',}&]+"), r"\1[redacted]"),
)
_SECRET_NAMES: Final = frozenset(
    {"authorization", "cookie", "set_cookie", "password", "secret", "token", "api_key", "key"}
)
_FILE_BYTES: Final = 10_000_000
_FILES: Final = 5


def redact(text: str) -> str:
    """The text with every secret of a known form replaced."""
    for pattern, replacement in _SECRETS:
        text = pattern.sub(replacement, text)
    return text


def _redact_names(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    for name in event:
        if name.lower() in _SECRET_NAMES:
            event[name] = "[redacted]"
    return event


class _RedactingFormatter(structlog.stdlib.ProcessorFormatter):
    def format(self, record: logging.LogRecord) -> str:
        return redact(super().format(record))


class _TerminalHandler(logging.StreamHandler[TextIO]):
    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the library's name
        _report_unwritten(record)


class _RotatingHandler(logging.handlers.RotatingFileHandler):
    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the library's name
        _report_unwritten(record)


def _report_unwritten(record: logging.LogRecord) -> None:
    # A full disk must not stop the service; and logging's own error message would print the record with its secrets.
    with suppress(OSError, ValueError):
        sys.stderr.write(f"larder: a line of {record.name} could not be logged: {sys.exc_info()[1]!r}\n")


def configure_logging(*, file: Path | None = None, level: str = "INFO", stream: TextIO | None = None) -> None:
    """Send the process's logs to ``stream`` (by default standard error), and as JSON lines to ``file`` where given.

    A stream that is a terminal gets text for people, any other one JSON lines. Called once, at start.
    """
    shown_on = sys.stderr if stream is None else stream
    before: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _redact_names,
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *before,
            structlog.stdlib.PositionalArgumentsFormatter(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    lines = _formatter(before, [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()])
    # The renderer's default tracebacks show local variables: headers, bodies, keys.
    pretty = _formatter(before, [structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)])
    terminal = _TerminalHandler(shown_on)
    terminal.setFormatter(pretty if shown_on.isatty() else lines)
    handlers: list[logging.Handler] = [terminal]
    if file is not None:
        with suppress(OSError):  # on a full disk the handler tells of each line that it cannot write
            file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        rotating = _RotatingHandler(file, maxBytes=_FILE_BYTES, backupCount=_FILES, encoding="utf-8", delay=True)
        rotating.setFormatter(lines)
        handlers.append(rotating)
    root = logging.getLogger()
    for old in list(root.handlers):
        root.removeHandler(old)
    for handler in handlers:
        root.addHandler(handler)
    root.setLevel(level.upper())
    for chatty in ("httpx", "httpcore", "uvicorn", "uvicorn.error", "alembic", "apscheduler", "fontTools", "fpdf"):
        logging.getLogger(chatty).setLevel(max(logging.WARNING, root.level))


def _formatter(before: Sequence[Processor], last: Sequence[Processor]) -> logging.Formatter:
    return _RedactingFormatter(
        foreign_pre_chain=before,
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
    )


def get_logger(name: str) -> structlog.stdlib.BoundLogger:
    """A logger: ``log.info("what happened", location_id=..., sequence=...)``."""
    logger: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(name)
    return logger


class Telemetry:
    """The metrics of one service. Names begin with ``larder_``; labels must come from a small fixed set."""

    def __init__(self, service: str) -> None:
        self.service = service
        self.registry = CollectorRegistry()
        self.requests = RequestStatistics()
        self.registry.register(self.requests)
        ProcessCollector(registry=self.registry)  # memory, CPU, open files; Linux only

    def counter(self, name: str, help_text: str, labels: Iterable[str] = ()) -> Counter:
        return Counter(f"larder_{name}", help_text, tuple(labels), registry=self.registry)

    def gauge(self, name: str, help_text: str, labels: Iterable[str] = ()) -> Gauge:
        return Gauge(f"larder_{name}", help_text, tuple(labels), registry=self.registry)

    def exposition(self) -> bytes:
        """All metrics in the text format that ``GET /metrics`` answers."""
        return generate_latest(self.registry)

    content_type: Final = CONTENT_TYPE_LATEST


class RequestStatistics(Collector):
    """Number and duration (seconds) of requests by method, route and status.

    Held in plain lists and turned into metrics on a scrape: a labelled histogram costs a hot route ten times as much.
    ``observe`` is called by the event loop alone.
    """

    BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
    METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

    def __init__(self) -> None:
        self._counts: dict[tuple[str, str, int], int] = {}
        self._seconds: dict[str, list[float]] = {}

    def observe(self, method: str, route: str, status: int, seconds: float) -> None:
        """``route`` is the route's template, never the path, so that the number of rows is bounded."""
        row = (method if method in self.METHODS else "OTHER", route, status)
        self._counts[row] = self._counts.get(row, 0) + 1
        times = self._seconds.get(route)
        if times is None:
            times = self._seconds[route] = [0.0] * (len(self.BUCKETS) + 2)
        times[bisect_left(self.BUCKETS, seconds)] += 1
        times[-1] += seconds

    def counts(self) -> Mapping[tuple[str, str, int], int]:
        """(method, route, status) -> requests so far."""
        return self._counts.copy()

    def describe(self) -> Iterable[Metric]:
        return []

    def collect(self) -> Iterable[Metric]:
        counts = CounterMetricFamily("larder_http_requests", "Requests answered", labels=("method", "route", "status"))
        for (method, route, status), count in self._counts.copy().items():
            counts.add_metric((method, route, str(status)), count)
        yield counts
        spent = HistogramMetricFamily("larder_http_request_seconds", "Seconds until answered", labels=("route",))
        for route, times in self._seconds.copy().items():
            total, buckets = 0.0, list[tuple[str, float]]()
            for bound, within in zip((*map(str, self.BUCKETS), "+Inf"), times[:-1], strict=True):
                total += within
                buckets.append((bound, total))
            spent.add_metric((route,), buckets=buckets, sum_value=times[-1])
        yield spent
