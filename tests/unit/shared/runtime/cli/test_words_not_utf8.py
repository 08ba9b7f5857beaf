"""A word of the command line that is not UTF-8 is wrong usage, in all three command lines and in `larder` itself."""

from __future__ import annotations

import importlib
import os

import pytest
from typer.testing import CliRunner

BROKEN = os.fsdecode(b"delivery:\xff")


@pytest.mark.parametrize(
    ("module", "words"),
    [
        ("branch_node.cli.app", ["record", "delivery", "milk", "1", "--reference", BROKEN]),
        ("branch_node.cli.app", ["order", BROKEN, "milk=1"]),
        ("branch_node.cli.app", ["items", "add", BROKEN]),
        ("head_office.cli.app", ["locations", "add", BROKEN]),
        ("transfer_coordinator.cli.app", ["create", "--line", BROKEN]),
        ("deploy.cli", ["branch", "order", BROKEN]),
        ("deploy.cli", [BROKEN]),
    ],
)
def test_a_word_that_is_not_utf8_is_wrong_usage(module: str, words: list[str]) -> None:
    result = CliRunner().invoke(importlib.import_module(module).app, words)
    assert result.exit_code == 2
    assert r"delivery:\xff" in result.output
    assert "is not UTF-8" in result.output
