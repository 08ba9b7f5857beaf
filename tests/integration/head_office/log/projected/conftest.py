"""What is kept beside the log is looked at in the same small head office as the log itself."""

from tests.integration.head_office.log.conftest import office  # noqa: F401 - a fixture, found by name
