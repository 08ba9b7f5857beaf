"""What an import says of a file whose cells, header and name would act on a terminal."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from branch_node.cli.app import app
from tests.integration.branch_node.imports.import_runs import TILL

NASTY = "\x1b[2J\x1b]0;x\x07\u202e\x85\x9b1A"


@pytest.fixture
def node(tmp_path: Path) -> Path:
    folder = tmp_path / "node"
    words = ["init", "--dir", str(folder), "--location", "BEY-01", "--timezone", "Asia/Beirut"]
    assert CliRunner().invoke(app, words).exit_code == 0
    return folder


def said(node: Path, file: Path, map_text: str, *options: str) -> tuple[int, str]:
    """Exit code and all that a terminal would get."""
    map_file = node.parent / "till.toml"
    map_file.write_text(map_text, encoding="utf-8")
    done = CliRunner().invoke(app, ["import", str(file), "--map", str(map_file), "--dir", str(node), *options])
    output = done.stdout + done.stderr
    assert {each for each in output if not each.isprintable()} <= {"\n"}
    return done.exit_code, output


@pytest.mark.parametrize("options", [(), ("--json",), ("--dry-run",), ("--dry-run", "--json")])
def test_cells(node: Path, tmp_path: Path, options: tuple[str, ...]) -> None:
    file = tmp_path / "sales.csv"
    file.write_text(f"code,qty,at\n{NASTY},1,2025-12-31 12:00\nmilk,{NASTY},2025-12-31 12:00\n", encoding="utf-8")
    code, _ = said(node, file, TILL, *options)
    assert code == 1


@pytest.mark.parametrize("options", [(), ("--json",)])
def test_columns(node: Path, tmp_path: Path, options: tuple[str, ...]) -> None:
    file = tmp_path / "sales.csv"
    file.write_text(f"code{NASTY},qty,at\n", encoding="utf-8")
    code, output = said(node, file, TILL, *options)
    assert code == 2
    assert "no column 'code'" in output.replace("\n", " ")


@pytest.mark.parametrize("options", [(), ("--json",)])
def test_the_name_of_a_file(node: Path, tmp_path: Path, options: tuple[str, ...]) -> None:
    file = tmp_path / f"sales{NASTY}\r.csv"
    file.write_text("code,qty,at\n")
    assert said(node, file, TILL, *options)[0] == 1
    assert said(node, tmp_path / f"gone{NASTY}\r.csv", TILL, *options)[0] == 2


def test_a_folder_of_the_rejects(node: Path, tmp_path: Path) -> None:
    """The name of a folder is not checked: the place of the rejects is printed."""
    folder = tmp_path / f"a{NASTY}"
    folder.mkdir()
    file = folder / "sales.csv"
    file.write_text("code,qty,at\nmlik,1,2025-12-31 12:00\n")
    code, output = said(node, file, TILL)
    assert code == 1
    assert r"a\x1b[2J" in output
    assert said(node, file, TILL, "--rejects", f"{file}.rejects.csv")[0] == 1


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ('item = "code"', 'item = "coed"', "till.toml line 6, columns.item: the file has no column 'coed'; it has"),
        ("item =", "itemm =", "till.toml line 6, columns.itemm: no such key; the nearest is item;"),
        ("ORDER_DEDUCTION", "ORDER_DEDUCTIO", "till.toml line 3, type: 'ORDER_DEDUCTIO' is not allowed here;"),
        (
            "[formats]", '[[rules]]\nwhen = { kind = "x" }\nskip = true\n[formats]',
            "till.toml line 11, rules[1].when.kind: the file has no column 'kind'; it has code, qty, at",
        ),
        (
            "[formats]", '[lookup.orders]\nfile = "sales.csv"\nkey = "codes"\non = "code"\n[formats]',
            "till.toml line 12, lookup.orders.key: ",
        ),
    ],
)  # fmt: skip
def test_a_fault_of_the_map_is_told_by_file_line_and_key(
    node: Path, tmp_path: Path, old: str, new: str, why: str
) -> None:
    file = tmp_path / "sales.csv"
    file.write_text("code,qty,at\nmilk,1,2025-12-31 12:00\n")
    assert old in TILL
    for options in ((), ("--dry-run",)):
        code, output = said(node, file, TILL.replace(old, new), "--json", *options)
        assert code == 2
        assert why in json.loads(output)["title"]
        assert output.count("\n") == 1
