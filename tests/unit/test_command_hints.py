"""What a person at a command line is told to do is a command, not a request."""

from __future__ import annotations

import re

import pytest

import branch_node.cli.command_hints
import branch_node.problems
import head_office.cli.command_hints
import head_office.problems
import transfer_coordinator.cli.command_hints
import transfer_coordinator.problems
from branch_node.commands.corrections import ALTERNATIVES
from shared.runtime.cli.errors import describe_expected

SERVICES = {
    "branch": (branch_node.problems.PROBLEMS, branch_node.cli.command_hints.HINTS),
    "head-office": (head_office.problems.PROBLEMS, head_office.cli.command_hints.HINTS),
    "transfer": (transfer_coordinator.problems.PROBLEMS, transfer_coordinator.cli.command_hints.HINTS),
}
HTTP = re.compile(
    r"\b(GET|PUT|POST|PATCH|DELETE)\b|/v1/|/docs|/problems|[Hh]eader|Authorization|Retry-After|JSON|Send (?!them back)"
)
# Answers to services and browsers, which no command gets.
NOT_AT_A_COMMAND_LINE = {
    "bad-batch",
    "gap",
    "forked",
    "superseded",
    "body-too-slow",
    "csrf-failed",
    "import-keys-differ",
}


@pytest.mark.parametrize("service", SERVICES)
def test_hints_name_commands(service: str) -> None:
    catalogue, hints = SERVICES[service]
    shown = {}
    for kind in catalogue:
        report = describe_expected(kind("so"), hints=hints)
        assert report is not None
        shown[kind.code] = report.hint
    assert {code: hint for code, hint in shown.items() if HTTP.search(hint)}.keys() - NOT_AT_A_COMMAND_LINE == set()
    assert set(hints) <= shown.keys(), "a hint for a code that the service does not have"


def test_what_to_do_instead_of_a_void_names_no_address() -> None:
    assert [text for text in ALTERNATIVES.values() if HTTP.search(text.replace("Send ", ""))] == []
