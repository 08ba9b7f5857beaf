"""Logs without secrets, metrics without global state."""

import io
import json
import logging
from pathlib import Path

import pytest

from shared.runtime.http.auth import generate_key
from shared.runtime.telemetry import RequestStatistics, Telemetry, configure_logging, get_logger, redact


def lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_lines_are_json_and_hold_no_secret(log_file: Path, terminal: io.StringIO) -> None:
    key = generate_key().text
    log = get_logger("larder.test")
    log.info("a request", sequence=3, authorization=f"Bearer {key}", nested={"headers": [key]}, token="hush")
    try:
        raise RuntimeError(f"could not connect to postgresql://larder:hush@db/larder with {key}")
    except RuntimeError:
        log.exception("failed")
    logging.getLogger("some.library").warning("sent Authorization: Bearer %s", "hush")
    text = log_file.read_text()
    first, second, third = lines(log_file)
    assert first["event"] == "a request"
    assert first["sequence"] == 3
    assert first["level"] == "info"
    assert str(first["timestamp"]).endswith("Z")
    assert "RuntimeError" in str(second["exception"])
    assert third["logger"] == "some.library"
    for written in (text, terminal.getvalue()):
        assert key not in written
        assert key[-43:] not in written
        assert "hush" not in written
        assert "a request" in written


def test_a_person_sees_no_local_variables(
    terminal: io.StringIO, log_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(terminal, "isatty", lambda: True)
    configure_logging(stream=terminal)
    local = "in a " + "variable"
    try:
        raise RuntimeError("told")
    except RuntimeError:
        get_logger("larder.test").exception("failed")
    shown = terminal.getvalue()
    assert "RuntimeError" in shown
    assert "told" in shown
    assert local not in shown


def test_a_log_that_cannot_be_written_stops_nothing_and_shows_nothing(
    tmp_path: Path, log_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    key = generate_key().text
    (tmp_path / "no folder").touch()
    for handler in logging.getLogger().handlers:
        if isinstance(handler, logging.FileHandler):
            handler.baseFilename = str(tmp_path / "no folder" / "log")
    get_logger("larder.test").info("said", data=[key])
    shown = capsys.readouterr().err
    assert "could not be logged" in shown
    assert key not in shown


def test_debug_is_left_out_and_a_second_call_does_not_double(log_file: Path) -> None:
    configure_logging(file=log_file, stream=io.StringIO())
    get_logger("larder.test").debug("detail")
    get_logger("larder.test").info("once")
    assert [line["event"] for line in lines(log_file)] == ["once"]


def test_redact_leaves_the_rest() -> None:
    key = generate_key()
    assert redact(f"key {key.text} of BEY-01") == f"key lk_{key.key_id}_[redacted] of BEY-01"
    assert redact("postgresql://user@host/db and http://127.0.0.1:8000/x@y") == (
        "postgresql://user@host/db and http://127.0.0.1:8000/x@y"
    )
    assert redact("postgresql://user:p:w@host/db") == "postgresql://user:[redacted]@host/db"


def test_services_share_no_metrics() -> None:
    one, two = Telemetry("branch"), Telemetry("head office")
    one.counter("events", "Events", ["type"]).labels("STOCKTAKE").inc(2)
    two.counter("events", "Events", ["type"])
    assert b'larder_events_total{type="STOCKTAKE"} 2.0' in one.exposition()
    assert b"STOCKTAKE" not in two.exposition()
    assert b"process_resident_memory_bytes" in one.exposition()


def test_request_statistics() -> None:
    statistics = RequestStatistics()
    for seconds in (0.0005, 0.001, 0.0011, 0.3, 60.0):
        statistics.observe("GET", "/v1/stock", 200, seconds)
    statistics.observe("GET\x00", "/v1/stock", 405, 0.001)
    assert statistics.counts() == {("GET", "/v1/stock", 200): 5, ("OTHER", "/v1/stock", 405): 1}
    telemetry = Telemetry("x")
    telemetry.requests.observe("POST", "/v1/events", 201, 0.3)
    telemetry.requests.observe("POST", "/v1/events", 201, 60.0)
    shown = telemetry.exposition().decode()
    assert 'larder_http_requests_total{method="POST",route="/v1/events",status="201"} 2.0' in shown
    assert 'larder_http_request_seconds_bucket{le="0.25",route="/v1/events"} 0.0' in shown
    assert 'larder_http_request_seconds_bucket{le="0.5",route="/v1/events"} 1.0' in shown
    assert 'larder_http_request_seconds_bucket{le="+Inf",route="/v1/events"} 2.0' in shown
    assert 'larder_http_request_seconds_sum{route="/v1/events"} 60.3' in shown
