"""Tables, JSON and next steps as commands print them where the output is no terminal."""

from __future__ import annotations

import io
import json
import re
from zoneinfo import ZoneInfo

import msgspec
import pytest
from rich.console import Console
from rich.markup import escape
from rich.text import Text

from shared.runtime.cli.output import (
    UTC,
    flags,
    local_time,
    number,
    number_of,
    print_json,
    print_line,
    print_next,
    print_table,
    print_text,
    short_time,
    signed,
)

Captured = pytest.CaptureFixture[str]


class Row(msgspec.Struct):
    name: str
    quantity: float | None = None


def test_json_is_one_line(capsys: Captured) -> None:
    print_json({"items": [Row("جبنة", 2.5)], "next": None})
    printed = capsys.readouterr().out
    assert printed.count("\n") == 1
    assert json.loads(printed) == {"items": [{"name": "جبنة", "quantity": 2.5}], "next": None}


def test_a_table_shows_its_cells_as_they_are(capsys: Captured) -> None:
    print_table("Stock", ("item", "on hand#", "note"), [("[red]milk[/]", 2.0, None), ("gin", 2.25, Text("low"))])
    assert capsys.readouterr().out.splitlines() == [
        "Stock",
        "item          on hand  note",
        "────────────  ───────  ────",
        "[red]milk[/]     2",
        "gin              2.25  low",
    ]


def test_a_table_is_as_wide_as_its_text(capsys: Captured) -> None:
    wide = "x" * 500
    print_table("", ("", ""), [(wide, wide)])
    printed = capsys.readouterr().out
    assert printed == f"{wide}  {wide}\n", "no header where no column has a name"


@pytest.mark.parametrize(
    ("title", "empty", "printed"),
    [("Items [b]", None, "Items [b]: none\n"), ("", "Nothing yet.", "Nothing yet.\n"), ("Items", "", "")],
)
def test_an_empty_table_is_a_line(title: str, empty: str | None, printed: str, capsys: Captured) -> None:
    print_table(title, ("item",), [], empty=empty)
    assert capsys.readouterr().out == printed


def test_lines_and_next_steps(capsys: Captured) -> None:
    print_line("[green]done[/]")
    print_next("larder branch serve --dir '[d]'", "later")
    assert capsys.readouterr().out == "done\n\nNext:\n  larder branch serve --dir '[d]'\n  later\n"


@pytest.mark.parametrize(
    ("value", "text"),
    [(2.0, "2"), (2.5, "2.5"), (-0.125, "-0.125"), (1e12, "1000000000000"), (3, "3"), ("1.50", "1.50")],
)
def test_quantities(value: float | str, text: str) -> None:
    assert number(value) == text


def test_flags_and_times() -> None:
    assert flags(["negative", "short"]).plain == "negative, short"
    assert flags(None).plain == ""
    beirut = ZoneInfo("Asia/Beirut")
    assert short_time("2026-01-31T23:59:59.123456+02:00", UTC) == "2026-01-31 21:59"
    assert short_time("2026-01-31T23:59:59.123456Z", beirut) == "2026-02-01 01:59"
    assert local_time("2026-01-31T23:59:59.123456Z", beirut) == "2026-02-01 01:59:59 Asia/Beirut"
    assert (short_time(None, UTC), local_time(None, UTC)) == ("", "")


@pytest.mark.parametrize(("value", "text"), [(2.5, "+2.5"), (-2.5, "-2.5"), (3, "+3"), (0, "0"), (0.0, "0")])
def test_changes_have_a_sign(value: float, text: str) -> None:
    assert signed(value) == text


@pytest.mark.parametrize(("count", "text"), [(0, "0 events"), (1, "1 event"), (2, "2 events")])
def test_a_count_has_its_noun_in_the_right_number(count: int, text: str) -> None:
    assert number_of(count, "event") == text


def test_text_of_others_cannot_act_on_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    print_line("see a\x1b]0;b\x07.csv")
    print_table("of\x1b", ("reason~", "rows#"), [("no\x1b[2J", 1)])
    printed = capsys.readouterr().out
    assert "\x1b" not in printed
    assert [part for part in (r"a\x1b]0;b\x07.csv", r"of\x1b", r"no\x1b[2J") if part not in printed] == []


NASTY = "a\x1b[2Jb\rc\u202ed\x85e\x9b1A\x7ff\udce9"
SHOWN = r"a\x1b[2Jb\x0dc\u202ed\x85e\x9b1A\x7ff\xe9"
COLOURS = re.compile(r"\x1b\[[0-9;]*m")


def test_a_terminal_receives_colours_and_nothing_else_that_acts() -> None:
    """As a terminal gets it: the only escapes are the colours that the table itself has."""
    terminal = io.StringIO()
    console = Console(file=terminal, force_terminal=True, color_system="standard", width=100, highlight=False)
    rows = [(NASTY, Text(NASTY, style="red"), 1)]
    print_table(NASTY, ("item", "state", "rows#"), rows, console=console)
    printed = COLOURS.sub("", terminal.getvalue())
    assert {each for each in printed if not each.isprintable()} == {"\n"}
    assert printed.count(r"\x1b[2Jb") == 3
    assert printed.count(r"\u202e") == 3
    assert "\x1b[31m" in terminal.getvalue()


def test_lines_steps_and_texts_of_others(capsys: Captured) -> None:
    print_line(f"[red]see[/] {escape(NASTY)}")
    print_next(NASTY)
    print_text(NASTY)
    print_text(NASTY, err=True)
    printed = capsys.readouterr()
    assert printed.out == f"see {SHOWN}\n\nNext:\n  {SHOWN}\n{SHOWN}\n"
    assert printed.err == f"{SHOWN}\n"


def test_json_for_a_terminal_is_the_same_json(capsys: Captured) -> None:
    text = NASTY.replace("\udce9", "é")
    print_json({"file": text})
    printed = capsys.readouterr().out
    assert json.loads(printed) == {"file": text}
    assert printed.rstrip("\n").isprintable()
