"""The connections of the coordinator to its database are made as its settings say."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import SecretStr

from shared.runtime.http.auth import generate_key
from tests.support.statements import prepared_statements
from transfer_coordinator.main import build
from transfer_coordinator.settings import CoordinatorSettings


@pytest.mark.parametrize("prepared", [True, False])
def test_prepared_statements_can_be_switched_off(coordinator_url: str, tmp_path: Path, prepared: bool) -> None:
    settings = CoordinatorSettings(
        dir=tmp_path,
        head_office="http://office",
        key=SecretStr(generate_key().text),
        database_url=SecretStr(coordinator_url),
        prepared_statements=prepared,
    )
    built = build(settings)
    try:
        assert (prepared_statements(built.engine) > 0) == prepared
    finally:
        built.close()
