"""The map in the docstring of `shared.stock` is complete: what restates the balance rule is on it, with its property.

Both rules are functions of a text or a folder, and are tried on a bad one first.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import shared.stock
from tests.support.processes import ROOT

PRODUCT = ("branch_node", "head_office", "transfer_coordinator", "shared", "deploy")
RULE_COLUMNS = {"on_hand_change", "counted", "reserved_change"}
SQL_TEXT = re.compile(r"\b(SELECT|INSERT|UPDATE|DELETE)\b")
# Modules whose SQL names columns of the rule and that restate nothing, with the reason. Those of the map may as well.
# Migrations are left out: they declare the columns.
NAMES_COLUMNS = {
    "shared/stock_expressions.py": "what the others are built from",
    "shared/event_log.py": "declares the columns, and partial indexes over them",
    "branch_node/imports/register/import_runs.py": "adds up what one import recorded, by type: no balance",
    "head_office/transfers/transfer_facts.py": "a reversal has the quantity of what it reverses",
}


def entries(text: str) -> list[tuple[str, str]]:
    """Every (place, test) of the map: the places of an entry belong to all of the tests below it."""
    found: list[tuple[str, str]] = []
    for entry in re.split(r"\n- |\n\n", text):
        places = re.findall(r"`(\w+(?:\.\w+){2,})`", entry)
        tests = re.findall(r"(tests/\S+\.py::\w+)", entry)
        if tests:
            found += [(place, test) for place in places for test in tests]
    return found


def defined(path: Path) -> dict[str, ast.AST]:
    """What a file defines at its top level, by name; nothing where there is no such file."""
    names: dict[str, ast.AST] = {}
    for node in ast.parse(path.read_text()).body if path.exists() else []:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names[node.name] = node
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names |= {target.id: node for target in targets if isinstance(target, ast.Name)}
    return names


def broken_entries(text: str) -> list[str]:
    breaches = []
    for place, test in entries(text):
        module, _, name = place.rpartition(".")
        if name not in defined(ROOT / f"{module.replace('.', '/')}.py"):
            breaches.append(f"{place} does not exist")
        path, _, function = test.partition("::")
        found = defined(ROOT / path).get(function)
        if not isinstance(found, ast.FunctionDef):
            breaches.append(f"{test} does not exist")
        elif not any(isinstance(each, ast.Call) and ast.unparse(each.func) == "given" for each in found.decorator_list):
            breaches.append(f"{test} is no property")
    return breaches


def columns_in_sql(path: Path) -> set[str]:
    """The rule's columns that a file's SQL names: as `.c.column` of Core, or within a text of SQL."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Attribute) and node.value.attr == "c":
            found |= {node.attr} & RULE_COLUMNS
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and SQL_TEXT.search(node.value):
            found |= set(re.findall(r"\w+", node.value)) & RULE_COLUMNS
    return found


def sources(root: Path) -> Iterator[tuple[str, Path]]:
    for package in PRODUCT:
        for path in sorted((root / package).rglob("*.py")):
            if "versions" not in path.parts:
                yield path.relative_to(root).as_posix(), path


def unmapped(root: Path, text: str) -> list[str]:
    mapped = {f"{place.rpartition('.')[0].replace('.', '/')}.py" for place, _ in entries(text)}
    naming = {name: columns for name, path in sources(root) if (columns := columns_in_sql(path))}
    return [
        *(f"{name} names {sorted(naming[name])} in SQL" for name in naming.keys() - NAMES_COLUMNS.keys() - mapped),
        *(f"{name} names none of the columns" for name in NAMES_COLUMNS.keys() - naming.keys()),
    ]


def test_every_place_and_every_property_of_the_map_exists() -> None:
    text = shared.stock.__doc__ or ""
    assert len(entries(text)) >= 15
    assert broken_entries(text) == []


def test_the_rules_columns_stand_in_sql_only_where_the_map_says() -> None:
    assert unmapped(ROOT, shared.stock.__doc__ or "") == []


@pytest.mark.parametrize(
    ("text", "breach"),
    [
        ("\n- `shared.stock.gone`:\n  tests/unit/shared/test_stock.py::{good}", "shared.stock.gone does not exist"),
        ("\n- `shared.gone.fold`:\n  tests/unit/shared/test_stock.py::{good}", "shared.gone.fold does not exist"),
        (
            "\n- `shared.stock.fold`:\n  tests/unit/shared/test_stock.py::test_gone",
            "tests/unit/shared/test_stock.py::test_gone does not exist",
        ),
        (
            "\n- `shared.stock.fold`:\n  tests/unit/shared/test_stock.py::test_no_count_means_from_zero",
            "tests/unit/shared/test_stock.py::test_no_count_means_from_zero is no property",
        ),
    ],
)
def test_a_broken_entry_is_found(text: str, breach: str) -> None:
    good = "test_folding_one_by_one_agrees_with_folding_all"
    assert broken_entries(text.format(good=good)) == [breach]
    assert broken_entries(f"\n- `shared.stock.fold`:\n  tests/unit/shared/test_stock.py::{good}") == []


@pytest.mark.parametrize(
    "line",
    ["total = func.sum(EVENT.c.on_hand_change)", "QUERY = 'SELECT sum(reserved_change) FROM event'"],
)
def test_a_restatement_off_the_map_is_found(tmp_path: Path, line: str) -> None:
    for name in NAMES_COLUMNS:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("found = EVENT.c.counted")
    assert unmapped(tmp_path, "") == []
    (tmp_path / "head_office" / "report.py").write_text(line)
    (breach,) = unmapped(tmp_path, "")
    assert breach.startswith("head_office/report.py names")
    (tmp_path / "head_office" / "report.py").write_text("")
    (tmp_path / "shared" / "event_log.py").write_text("")
    assert unmapped(tmp_path, "") == ["shared/event_log.py names none of the columns"]
