"""The purchasing report reads a head office with three locations of the catalogue."""

from tests.integration.head_office.conftest import office  # noqa: F401 - a fixture, found by name
