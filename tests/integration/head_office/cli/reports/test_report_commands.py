"""`larder head-office report`: tables at 80 and 160 columns, JSON that is the API's, files, refusals."""

from __future__ import annotations

import csv
import json
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine
from typer.testing import CliRunner, Result

from deploy.cli import app
from head_office.reports.tables import table_report
from tests.integration.head_office.conftest import Api
from tests.support.table_snapshots import WIDTHS, TableSnapshots
from tests.support.used_day import a_used_day

HERE = Path(__file__).parent
PERIOD = ("--from", "2026-01-01", "--to", "2026-01-02")
REPORTS = [
    ("variance", ("--by", "count")),
    ("variance", ("--by", "item")),
    ("variance", ("--by", "location")),
    ("usage", ("--by", "item")),
    ("usage", ("--by", "product")),
    ("usage", ("--by", "order")),
    ("unmet-demand", ("--by", "event")),
    ("unmet-demand", ("--by", "item")),
]
Run = Callable[..., Result]


@pytest.fixture
def run(office: Engine, office_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.chdir(tmp_path)
    a_used_day(office)

    def call(*words: str, exit_code: int = 0) -> Result:
        where = ("--dir", "office", "--database-url", office_url)
        result = CliRunner().invoke(app, ["head-office", "report", *words, *where], catch_exceptions=False)
        assert result.exit_code == exit_code, result.output
        return result

    return call


@pytest.mark.parametrize("width", WIDTHS)
def test_every_report_as_a_table(
    width: int, office: Engine, office_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    a_used_day(office)
    tables = TableSnapshots(app, HERE / "tables", width, monkeypatch)
    hidden = ("--dir", "office", "--database-url", office_url)
    for name, words in REPORTS:
        tables.run("head-office", "report", name, *words, *PERIOD, hidden=hidden)
    tables.run("head-office", "report", "usage", "--location", "BEY-02", "--item", "tea", hidden=hidden)
    tables.run("head-office", "report", "variance", "--from", "2026-01-02", hidden=hidden)
    tables.compare()


@pytest.mark.parametrize(("name", "words"), REPORTS)
def test_json_is_that_of_the_api(run: Run, api: Api, name: str, words: tuple[str, str]) -> None:
    told = json.loads(run(name, *words, *PERIOD, "--json").stdout)
    answer = api.call("viewer", "GET", f"/v1/reports/{name}?by={words[1]}&from=2026-01-01&to=2026-01-02&limit=1000")
    assert told["items"]
    assert answer.json() == {**told, "known_at_holds_since": {}}


@pytest.mark.parametrize(("name", "words"), REPORTS)
def test_a_file_has_every_row_and_pages_have_the_same(run: Run, name: str, words: tuple[str, str]) -> None:
    whole = json.loads(run(name, *words, *PERIOD, "--json").stdout)["items"]
    Path("rows.csv").write_text("what was there before")
    assert json.loads(run(name, *words, *PERIOD, "--csv", "rows.csv", "--json").stdout) == {
        "file": "rows.csv",
        "rows": len(whole),
    }
    with Path("rows.csv").open(encoding="utf-8-sig", newline="") as file:
        assert len(list(csv.DictReader(file))) == len(whole)
    assert [each.name for each in Path().iterdir() if each.name.startswith("rows")] == ["rows.csv"]
    rows: list[Any] = []
    asked = (name, *words, *PERIOD, "--limit", "1")
    after: tuple[str, ...] = ()
    while True:
        page = json.loads(run(*asked, *after, "--json").stdout)
        rows += page["items"]
        if page["next"] is None:
            break
        after = ("--after", page["next"])
    assert rows == whole


def test_the_next_page_is_a_command_to_copy(run: Run) -> None:
    shown = run("usage", "--by", "order", *PERIOD, "--limit", "1").stdout
    following, file = (shlex.split(line) for line in shown.splitlines() if line.startswith("  "))
    assert following[:3] == ["larder", "head-office", "report"]
    assert "471" in run(*following[3:]).stdout
    assert file[-2:] == ["--csv", "usage.csv"]
    assert "rows in usage.csv" in run(*file[3:]).stdout


def test_what_cannot_be_asked(run: Run) -> None:
    for words, said, exit_code in (
        (("usage", "--by", "order"), "from", 2),
        (("usage", "--by", "product", "--from", "2026-01-01", "--to", "2027-03-01"), "366 days", 2),
        (("usage", "--by", "dish"), "--by", 2),
        (("usage", "--from", "2026-01-02", "--to", "2026-01-01"), "--to", 2),
        (("usage", "--from", "never"), "--from", 2),
        (("usage", "--known-at", "never"), "--known-at", 2),
        (("usage", "--csv", "a.csv", "--after", "x"), "--after", 2),
        (("usage", "--after", "x"), "beginning", 1),
        (("usage", "--location", "NOWHERE"), "locations list", 1),
        (("unmet-demand", "--item", "nothing"), "items list", 1),
    ):
        assert said in run(*words, exit_code=exit_code).output, words
    with pytest.raises(FileNotFoundError, match="no/such"):  # which `larder` prints in words
        run("variance", "--csv", "no/such/folder.csv")
    assert not list(Path().glob("*.csv*"))


def test_a_file_that_is_refused_leaves_the_older_one(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table_report, "MAX_ROWS", 1)
    Path("rows.csv").write_text("what was there before")
    assert "report-too-large" in run("usage", "--csv", "rows.csv", exit_code=1).output
    assert Path("rows.csv").read_text() == "what was there before"
    assert [each.name for each in Path().glob("*.csv*")] == ["rows.csv"]
