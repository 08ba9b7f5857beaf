"""`larder branch import --guess FILE`: TOML alone on standard output, what the rows become on standard error."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from branch_node.cli.app import app
from deploy.cli import main as deploy_main
from tests.integration.branch_node.imports.import_runs import TILL

NASTY = "\x1b[2J\x1b]0;x\x07\u202e\x85\x9b1A"
SALES = "id,code,qty,at\n1,milk,2,2025-12-31 12:00\n2,bread,-1,2025-12-31 12:05\n"


@pytest.fixture
def node(tmp_path: Path) -> Path:
    folder = tmp_path / "node"
    assert run("init", "--dir", str(folder), "--location", "BEY-01", "--timezone", "Asia/Beirut").exit_code == 0
    return folder


def run(*words: str, stdin: bytes | None = None) -> Result:
    return CliRunner().invoke(app, words, input=stdin)


def test_the_map_imports_its_file(node: Path, tmp_path: Path) -> None:
    file, till = tmp_path / "sales.csv", tmp_path / "till.toml"
    file.write_text(SALES)
    guessed = run("import", "--guess", str(file), "--dir", str(node))
    assert guessed.exit_code == 0
    assert tomllib.loads(guessed.stdout)["time_zone"] == "Asia/Beirut"
    lines = guessed.stderr.splitlines()
    assert any(line.split() == ["2", "ORDER_DEDUCTION", "milk", "2", "2025-12-31", "12:00", "1"] for line in lines)
    assert any(line.split() == ["3", "CUSTOMER_RETURN", "bread", "1", "2025-12-31", "12:05", "2"] for line in lines)
    assert max(map(len, lines)) <= 80
    till.write_text(guessed.stdout)
    done = run("import", str(file), "--map", str(till), "--dir", str(node), "--json")
    assert done.exit_code == 0
    assert json.loads(done.stdout)["recorded"] == 2


def test_the_items_of_the_node(node: Path, tmp_path: Path) -> None:
    for item in ("milk", "bread"):
        assert run("items", "add", item, "--name", item, "--unit", "piece", "--dir", str(node)).exit_code == 0
    file = tmp_path / "sales.csv"
    file.write_text(SALES)
    guessed = run("import", "--guess", str(file), "--dir", str(node))
    assert tomllib.loads(guessed.stdout)["unknown_items"] == "reject"


def test_without_a_node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LARDER_DIR", raising=False)
    guessed = run("import", "--guess", "-", stdin=SALES.encode())
    assert guessed.exit_code == 0
    assert tomllib.loads(guessed.stdout)["time_zone"] == "UTC"


def test_nothing_acts_on_the_terminal(node: Path, tmp_path: Path) -> None:
    file = tmp_path / "sales.csv"
    file.write_text(
        f"code,qty,at {NASTY},why{NASTY}\nmi{NASTY},1,2025-12-31 12:00,{NASTY}\nmilk,1,2025-12-31 12:00,x\n"
    )
    guessed = run("import", "--guess", str(file), "--dir", str(node))
    assert {each for each in guessed.stdout + guessed.stderr if not each.isprintable()} <= {"\n"}
    tomllib.loads(guessed.stdout)


@pytest.mark.parametrize("as_json", [False, True])
def test_a_file_that_cannot_be_guessed(
    tmp_path: Path, as_json: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "types.csv"
    file.write_text("kind_id,words\na,b c\n")
    words = ["larder", "branch", "import", "--guess", str(file), *(["--json"] if as_json else [])]
    monkeypatch.setattr("sys.argv", words)
    with pytest.raises(SystemExit) as ended:
        deploy_main()
    assert ended.value.code == 1
    out, err = capsys.readouterr()
    said = json.loads(out)["title"] if as_json else " ".join(err.split())
    assert "no column of it looks like a quantity" in said
    assert "kind_id, words" in said
    if not as_json:
        assert out == ""
        assert "--example-map" in said


@pytest.mark.parametrize(
    "others", [("--dry-run",), ("--at", "2026-01-31T12:00:00Z"), ("--rejects", "x.csv"), ("--accept-conflicts", "all")]
)
def test_options_of_an_import(tmp_path: Path, others: tuple[str, ...]) -> None:
    file = tmp_path / "sales.csv"
    file.write_text(SALES)
    refused = run("import", "--guess", str(file), *others)
    assert refused.exit_code == 2
    assert refused.stdout == ""


def test_an_import_needs_a_map(tmp_path: Path) -> None:
    file = tmp_path / "sales.csv"
    file.write_text(SALES)
    refused = run("import", str(file))
    assert refused.exit_code == 2
    assert "--guess prints a first one" in " ".join(refused.stderr.split())


def test_a_dry_run(node: Path, tmp_path: Path) -> None:
    file, till = tmp_path / "sales.csv", tmp_path / "till.toml"
    rows = [
        "Cola,1",
        " cola ,2",
        "cafe\u0301,1",
        "caf\u00e9,1",
        "milk\u200b,1",
        "milk,x",
        *[f"n{n},1" for n in range(30)],
    ]
    file.write_text("code,qty,at\n" + "".join(f"{row},2025-12-31 12:00\n" for row in rows))
    mapped = TILL.replace("[columns]", 'unknown_items = "create"\n[columns]') + '[new_items]\nunit = "pcs"\n'
    till.write_text(mapped)
    words = ("import", str(file), "--map", str(till), "--dir", str(node))
    found = json.loads(run(*words, "--dry-run", "--json").stdout)
    assert [(each["line"], each["item"], each["quantity"]) for each in found["samples"]] == [
        (2, "Cola", 1), (3, "cola", 2), (4, "café", 1), (5, "café", 1), (8, "n0", 1),
    ]  # fmt: skip
    assert [each["item_id"] for each in found["new_items"]][:4] == ["Cola", "cola", "café", "n0"]
    assert len(found["new_items"]) == 20
    assert found["items_defined"] == 33
    looks = {tuple(each["texts"]): (each["items"], each["are_one"], each["rejected"]) for each in found["look_alikes"]}
    assert looks == {
        ("Cola", " cola "): (["Cola", "cola"], False, False),
        ("cafe\u0301", "caf\u00e9"): (["café"], True, False),
        ("milk\u200b", "milk"): ([], False, True),
    }
    assert sorted(each["reason"].partition(":")[0] for each in found["reasons"]) == ["column code", "column qty"]
    shown = run(*words, "--dry-run").stdout
    assert "… and 13 items more." in shown
    assert "'Cola', ' cola ': 2 items, Cola, cola" in shown
    assert "'cafe\u0301', 'café': one item, café" in shown or "'cafe\\u0301', 'café': one item, café" in shown
    assert r"'milk\u200b', 'milk': rejected" in shown
    real = json.loads(run(*words, "--json").stdout)
    assert not {"samples", "new_items", "look_alikes"} & real.keys()


def test_a_code_that_looks_like_an_item_of_the_node(node: Path, tmp_path: Path) -> None:
    assert run("items", "add", "MILK", "--name", "Milk", "--unit", "piece", "--dir", str(node)).exit_code == 0
    file, till = tmp_path / "sales.csv", tmp_path / "till.toml"
    file.write_text("code,qty,at\nmilk,1,2025-12-31 12:00\n")
    till.write_text(TILL)
    words = ("import", str(file), "--map", str(till), "--dir", str(node), "--dry-run", "--json")
    (found,) = json.loads(run(*words).stdout)["look_alikes"]
    assert (found["texts"], found["items"], found["are_one"]) == (["milk"], ["MILK", "milk"], False)
