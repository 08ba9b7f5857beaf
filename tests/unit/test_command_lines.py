"""The three command lines speak alike: arguments in upper case, headings of tables in lower case."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

import branch_node.cli.app
import head_office.cli.app
import transfer_coordinator.cli.app
from shared.runtime.cli.lazy_group import LazyGroup, load_command

ROOT = Path(__file__).parents[2]
SERVICES = {
    "branch_node": branch_node.cli.app.app,
    "head_office": head_office.cli.app.app,
    "transfer_coordinator": transfer_coordinator.cli.app.app,
}


def commands(group: Any) -> Iterator[Any]:
    """Every command below a group."""
    for name, command in group.commands.items():
        found = load_command(name, group.lazy_commands[name][0]) if isinstance(group, LazyGroup) else command
        if hasattr(found, "commands"):
            yield from commands(found)
        else:
            yield found


def headings(tree: ast.AST) -> Iterator[str]:
    """The columns of each `print_table`: its second argument, or what is assigned to `columns`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "print_table":
            found: ast.AST = node.args[1]
        elif isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "columns":
            found = node.value
        else:
            continue
        if isinstance(found, ast.Tuple | ast.List):
            yield from (each.value for each in found.elts if isinstance(each, ast.Constant))  # type: ignore[misc]


@pytest.mark.parametrize("service", SERVICES)
def test_arguments_are_in_upper_case(service: str) -> None:
    arguments = [
        (command.name, each.name, each.metavar)
        for command in commands(typer.main.get_command(SERVICES[service]))
        for each in command.params
        if each.param_type_name == "argument"
    ]
    assert arguments
    assert [each for each in arguments if not each[2] or each[2] != each[2].upper()] == []


@pytest.mark.parametrize("service", SERVICES)
def test_headings_of_tables_are_in_lower_case(service: str) -> None:
    found = [
        heading
        for path in sorted((ROOT / service / "cli").glob("*.py"))
        for heading in headings(ast.parse(path.read_text()))
    ]
    assert len(found) > 10
    assert [heading for heading in found if heading != heading.lower()] == []
