"""`larder head-office report mornings`, on head office's database."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from sqlalchemy import Engine, update
from typer.testing import CliRunner

from deploy.cli import app
from head_office.database.morning_tables import PURCHASING_MAIL
from head_office.reports.mornings.morning_maker import MorningMaker
from shared.runtime.clock import DAY, IdFactory
from tests.support.morning_rig import there_since


@pytest.fixture
def hidden(office: Engine, office_url: str, tmp_path: Path) -> tuple[str, ...]:
    """The options of a head office that made three days of mornings; the mail about the last one failed."""
    there_since(office, 3 * DAY)
    maker = MorningMaker(office, mailed=True, new_id=IdFactory(), counted=lambda _: None)
    assert maker.step() == 9
    with office.begin() as connection:
        connection.execute(update(PURCHASING_MAIL).values(attempts=2, error="the mail server refuses: 451 later"))
    return "--dir", str(tmp_path / "office"), "--database-url", office_url


def run(hidden: tuple[str, ...], *words: str, code: int = 0) -> str:
    done = CliRunner().invoke(app, ["head-office", "report", "mornings", *words, *hidden], catch_exceptions=False)
    assert done.exit_code == code, done.stdout + done.stderr
    return done.stdout if code == 0 else done.stderr


def test_mornings_are_listed(hidden: tuple[str, ...]) -> None:
    found = json.loads(run(hidden, "--json"))["items"]
    assert len(found) == 9
    newest = found[0]["date"]
    assert {each["mail"]["state"] for each in found if each["mail"]} == {"WAITING"}
    printed = run(hidden)
    assert printed.count(newest) >= 3
    assert printed.count("WAITING: the mail server refuses: 451 later") == 3
    assert [each["date"] for each in json.loads(run(hidden, "--location", "WH-1", "--json"))["items"]] == sorted(
        {each["date"] for each in found}, reverse=True
    )
    assert "none" in run(hidden, "--to", "2020-01-01")
    assert {each["date"] for each in json.loads(run(hidden, "--from", newest, "--json"))["items"]} == {newest}


@pytest.mark.parametrize(
    ("words", "code"), [(("--from", "today"), "invalid-request"), (("--location", "NO"), "unknown-location")]
)
def test_what_is_refused(hidden: tuple[str, ...], words: tuple[str, ...], code: str) -> None:
    assert code in run(hidden, *words, code=1)


def of_purchasing(hidden: tuple[str, ...], *words: str, code: int = 0) -> str:
    done = CliRunner().invoke(app, ["head-office", "report", "purchasing", *words, *hidden], catch_exceptions=False)
    assert done.exit_code == code, done.stdout + done.stderr
    return done.stdout if code == 0 else done.stderr


def test_the_report_of_a_morning_is_shown_and_written(hidden: tuple[str, ...], tmp_path: Path) -> None:
    newest = json.loads(run(hidden, "--json"))["items"][0]["date"]
    made = json.loads(of_purchasing(hidden, "--date", newest, "--all", "--json"))
    assert made["date"] == newest
    assert "changes" not in made
    known = made["locations"][0]["known_at"]
    again = json.loads(of_purchasing(hidden, "--date", newest, "--known-at", known, "--all", "--json"))
    assert again["changes"] == []
    assert "Nothing has changed since that morning." in of_purchasing(hidden, "--date", newest, "--known-at", known)
    for ending, begins in (("csv", b"\xef\xbb\xbflocation_id,"), ("xlsx", b"PK"), ("pdf", b"%PDF-")):
        file = tmp_path / f"morning.{ending}"
        said = of_purchasing(hidden, "--date", newest, "--format", ending, "--output", str(file))
        assert str(file.name) in said
        assert file.read_bytes().startswith(begins)


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("--date", "2020-01-01"), 1, "report-not-made"),
        (("--date", "2020-02-30"), 1, "invalid-request"),
        (("--date", "2020-01-01", "--as-of", "2020-01-01"), 2, "as of its morning"),
    ],
)
def test_what_is_refused_of_a_morning(hidden: tuple[str, ...], words: tuple[str, ...], code: int, said: str) -> None:
    assert said in of_purchasing(hidden, *words, code=code)


def test_a_supplier_that_nobody_knows_is_no_good_news(hidden: tuple[str, ...]) -> None:
    assert "unknown-supplier" in of_purchasing(hidden, "--supplier", "nope", code=1)
    assert "Nothing was known of any of these locations then." in of_purchasing(
        hidden, "--known-at", "2020-01-01T00:00:00Z"
    )
