"""Every table of `larder transfer`, as it stands on a terminal of 80 and of 160 columns."""

from __future__ import annotations

from pathlib import Path

import pytest

import transfer_coordinator.cli
from deploy.cli import app
from tests.support.table_snapshots import WIDTHS, TableSnapshots, tables_without

HERE = Path(__file__).parent


@pytest.mark.parametrize("width", WIDTHS)
def test_every_table(width: int, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("socket.gethostname", lambda: "machine")
    tables = TableSnapshots(app, HERE / "tables", width, monkeypatch)

    def transfer(*arguments: str, exit_code: int = 0) -> None:
        tables.run("transfer", *arguments, hidden=("--dir", folder), exit_code=exit_code)

    route = ("--source", "A", "--destination", "B")
    transfer("list")
    transfer("create", *route, "--line", "milk=2.5", "--transfer-id", "t-1", "--wait", "--timeout", "60")
    too_much = ("--line", "milk=1000", "--transfer-id", "a-transfer-with-a-long-name-of-another-system")
    transfer("create", *route, *too_much, "--wait", "--timeout", "60", exit_code=1)
    transfer("show", "t-1")
    transfer("list")
    transfer("list", "--most", "1")
    tables.compare()
    assert tables_without(Path(transfer_coordinator.cli.__path__[0]), tables.call_sites) == []
