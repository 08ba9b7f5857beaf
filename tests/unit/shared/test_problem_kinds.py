"""A code stands for one status and one title, whichever service answers it."""

from __future__ import annotations

import pytest

from branch_node import problems as branch
from head_office import problems as head_office
from shared import problem_kinds
from shared.runtime.http import cursor
from shared.runtime.problems import ProblemCatalogue, ProblemKind
from transfer_coordinator import problems as coordinator

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
        assert kind.status == 422
