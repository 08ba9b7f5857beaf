"""A pytest plugin: with --strict-skips or LARDER_STRICT_SKIPS=1 a skipped test is a failed one.

ALLOWED lists, by name, the only reasons that a build machine may have for leaving a test out.
"""

import os
from pathlib import Path

import pytest

NO_SHARED = "../shared/data is absent"
NO_DOCKER = "no Docker engine answers"
NO_MOUNT = "a small file system cannot be mounted here"
ALLOWED = (NO_SHARED, NO_DOCKER, NO_MOUNT)

SHARED_DATA = Path(__file__).resolve().parents[3] / "shared" / "data"


def shared_data() -> Path:
    """The folder of the real data sets; skips the test where it is absent."""
    if not SHARED_DATA.is_dir():
        pytest.skip(NO_SHARED)
    return SHARED_DATA


def docker_answers() -> bool:
    import docker  # here, as it is slow to import and few tests ask
    from docker.errors import DockerException

    try:
        client = docker.from_env(timeout=5)
    except DockerException:
        return False
    try:
        return bool(client.ping())
    except (DockerException, OSError):
        return False
    finally:
        client.close()


def require_docker() -> None:
    """Skips the test where no Docker engine answers."""
    if not docker_answers():
        pytest.skip(NO_DOCKER)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--strict-skips",
        action="store_true",
        default=os.environ.get("LARDER_STRICT_SKIPS") == "1",
        help=f"a skipped test fails, unless for one of these reasons: {'; '.join(ALLOWED)}",
    )


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item):
    report = yield
    if item.config.getoption("strict_skips") and not hasattr(report, "wasxfail"):
        _fail_if_skipped(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector: pytest.Collector):
    report = yield
    if collector.config.getoption("strict_skips"):
        _fail_if_skipped(report)
    return report


def _fail_if_skipped(report: pytest.TestReport | pytest.CollectReport) -> None:
    if not report.skipped:
        return
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    reason = reason.removeprefix("Skipped: ")
    if reason not in ALLOWED:
        report.outcome = "failed"
        report.longrepr = f"skipped, which is not allowed here: {reason}"
