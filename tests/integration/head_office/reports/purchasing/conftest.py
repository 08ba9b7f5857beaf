"""The purchasing report reads the same small head office as the log's tests."""

from tests.integration.head_office.log.conftest import office  # noqa: F401 - a fixture, found by name
