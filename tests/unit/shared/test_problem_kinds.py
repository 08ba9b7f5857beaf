"""A code stands for one status and one title, whichever service answers it."""

from __future__ import annotations

import ast
import importlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from branch_node import problems as branch
from head_office import problems as head_office
from shared import problem_kinds
from shared.runtime.http import cursor
from shared.runtime.http.application import problem_schema
from shared.runtime.problems import COMMON, ProblemCatalogue, ProblemKind
from transfer_coordinator import problems as coordinator

NAMED_BY_THE_ADDRESS = {"unknown-key", "unknown-order", "unknown-reservation", "unknown-source"}
"""Codes that the contract has for what an address names, though they begin with `unknown-`."""
CATALOGUES = {
    "branch": branch.PROBLEMS,
    "head office": head_office.PROBLEMS,
    "coordinator": coordinator.PROBLEMS,
}
SHARED = [each for each in vars(problem_kinds).values() if isinstance(each, ProblemKind)] + [cursor.BAD_CURSOR]


def differing(catalogues: dict[str, ProblemCatalogue]) -> list[str]:
    """The codes that are declared with more than one status or title."""
    meanings: dict[str, set[tuple[int, str]]] = {}
    for catalogue in catalogues.values():
        for kind in catalogue:
            meanings.setdefault(kind.code, set()).add((kind.status, kind.title))
    return sorted(code for code, found in meanings.items() if len(found) > 1)


def test_no_code_has_two_statuses_or_titles() -> None:
    assert differing(CATALOGUES) == []


def test_a_code_with_two_statuses_is_found() -> None:
    other = ProblemCatalogue()
    other.declare("unknown-item", 404, "There is no such item", "")
    assert differing({**CATALOGUES, "other": other}) == ["unknown-item"]


@pytest.mark.parametrize("kind", SHARED, ids=lambda kind: kind.code)
def test_a_shared_kind_is_answered_by_two_services(kind: ProblemKind) -> None:
    """One that a single service answers belongs to that service."""
    assert sum(kind.code in catalogue for catalogue in CATALOGUES.values()) > 1


@pytest.mark.parametrize("kind", SHARED, ids=lambda kind: kind.code)
def test_the_code_tells_where_the_name_stood(kind: ProblemKind) -> None:
    if kind.code.endswith("-not-found"):
        assert kind.status == 404
    if kind.code.startswith("unknown-"):
        assert kind.status == (404 if kind.code in NAMED_BY_THE_ADDRESS else 422)


ROOT = Path(__file__).parents[3]
PACKAGES = {
    "branch_node": branch.PROBLEMS,
    "head_office": head_office.PROBLEMS,
    "transfer_coordinator": coordinator.PROBLEMS,
    "shared": COMMON,
}
NO_MEMBERS = {"detail", "hint", "recorded", "headers"}


def given_members(package: str) -> Iterator[tuple[str, str]]:
    """Each member that the code of a package gives to a problem, and where."""
    for path in sorted((ROOT / package).rglob("*.py")):
        if "migrations" in path.parts:
            continue
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for node in ast.walk(ast.parse(path.read_text())):
            where = f"{path.relative_to(ROOT)}:{getattr(node, 'lineno', 0)}"
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id.isupper():
                kind = getattr(importlib.import_module(name), node.func.id, None)
                if isinstance(kind, ProblemKind):
                    yield from ((each.arg, where) for each in node.keywords if each.arg and each.arg not in NO_MEMBERS)
            elif isinstance(node, ast.Subscript) and ast.unparse(node.value).endswith(".extras"):
                assert isinstance(node.slice, ast.Constant), where
                yield str(node.slice.value), where


@pytest.mark.parametrize("package", PACKAGES)
def test_every_member_that_a_problem_is_given_is_declared(package: str) -> None:
    given = dict(given_members(package))
    assert given
    declared = problem_schema(PACKAGES[package])["properties"]
    assert {name: where for name, where in given.items() if name not in declared} == {}


@pytest.mark.parametrize("package", ["branch_node", "head_office", "transfer_coordinator"])
def test_every_member_that_is_declared_is_given(package: str) -> None:
    given = {name for each in (package, "shared") for name, _ in given_members(each)}
    assert set(PACKAGES[package].members) - given == set()
