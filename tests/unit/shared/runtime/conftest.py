"""What the tests of the runtime share."""

import io
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from shared.runtime.telemetry import configure_logging


@pytest.fixture
def terminal() -> io.StringIO:
    """What the logs show."""
    return io.StringIO()


@pytest.fixture
def log_file(tmp_path: Path, terminal: io.StringIO) -> Iterator[Path]:
    """Logging as a service configures it, into this file and the terminal above; undone afterwards."""
    root = logging.getLogger()
    before, level = list(root.handlers), root.level
    path = tmp_path / "logs" / "service.log"
    configure_logging(file=path, stream=terminal)
    yield path
    for handler in root.handlers:
        if handler not in before:
            handler.close()
    root.handlers[:] = before
    root.setLevel(level)
    structlog.reset_defaults()
