"""`larder head-office suppliers`, `purchase-orders` and the imports of files: what they do, and what they refuse."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import Result
from sqlalchemy import Engine
from typer.testing import CliRunner

from head_office.catalogue import catalogue_history, items
from head_office.cli.app import app
from head_office.cli.office_completion import complete_purchase_order, complete_supplier
from shared.catalogue_messages import CatalogueItem

Run = Callable[..., Result]


@pytest.fixture
def run(office: Engine, office_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """`larder head-office ARGUMENTS` on the database of this test, which has two items."""
    monkeypatch.chdir(tmp_path)
    with office.begin() as connection:
        items.put(
            connection,
            [
                CatalogueItem(item_id="milk", name="Milk", unit="l"),
                CatalogueItem(item_id="tomato", name="Tomatoes", unit="kg"),
            ],
        )

    def call(*arguments: str | Path, exit_code: int = 0) -> Result:
        where = ["--dir", "office", "--database-url", office_url]
        result = CliRunner().invoke(app, [*map(str, arguments), *where])
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        assert result.exit_code == exit_code, result.output
        return result  # type: ignore[return-value]

    return call


def as_json(run: Run, *arguments: str | Path, exit_code: int = 0) -> Any:
    return json.loads(run(*arguments, "--json", exit_code=exit_code).stdout)


def version(office: Engine) -> int:
    with office.connect() as connection:
        return catalogue_history.read_head(connection).version


def a_file(tmp_path: Path, *rows: str) -> Path:
    file = tmp_path / "rows.csv"
    file.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return file


def test_a_supplier_is_set_shown_and_removed(run: Run) -> None:
    run("suppliers", "set", "farm", exit_code=2)
    made = as_json(run, "suppliers", "set", "farm", "--name", "Farm", "--email", "a@b.example", "--lead-days", "2")
    assert made == {"supplier_id": "farm", "name": "Farm", "email": "a@b.example", "lead_days": 2}
    assert as_json(run, "suppliers", "set", "farm", "--name", "The farm") == made | {"name": "The farm"}
    bare = as_json(run, "suppliers", "set", "farm", "--email", "", "--no-lead-days")
    assert bare == {"supplier_id": "farm", "name": "The farm"} == as_json(run, "suppliers", "show", "farm")
    run("suppliers", "set", "farm", "--lead-days", "1", "--no-lead-days", exit_code=2)
    assert "no mail address" in run("suppliers", "set", "farm", "--email", "nobody", exit_code=1).output
    assert as_json(run, "suppliers", "list")["items"] == [bare]
    unknown = run("suppliers", "show", "fram", exit_code=1).output
    assert "supplier-not-found" in unknown
    assert "larder head-office suppliers set" in unknown
    assert "is no supplier any more" in run("suppliers", "remove", "farm").output
    run("suppliers", "remove", "farm", exit_code=1)


def test_an_order_is_made_changed_and_closed(run: Run) -> None:
    run("suppliers", "set", "farm", "--name", "Farm")
    create = ("purchase-orders", "create", "--location", "BEY-01", "--supplier", "farm")
    lines = ("--line", "tomato=12,5@30.00 usd", "--line", "milk=24")
    made = as_json(run, *create, *lines, "--due", "2026-12-01", "--key", "k")
    assert made["purchase_order_id"] == "PO-000001"
    assert [(each["item_id"], each["quantity"], each["cost"]) for each in made["lines"]] == [
        ("tomato", 12.5, {"amount": "30.00", "currency": "USD"}),
        ("milk", 24, None),
    ]
    assert as_json(run, *create, *lines, "--due", "2026-12-01", "--key", "k") == made
    assert "key-reused" in run(*create, *lines, "--key", "k", exit_code=1).output
    changed = as_json(run, "purchase-orders", "change", "PO-000001", "--due", "", "--note", "by the back door")
    assert (changed["due"], changed["note"]) == (None, "by the back door")
    assert as_json(run, "purchase-orders", "show", "PO-000001") == changed
    assert as_json(run, "purchase-orders", "list", "--state", "open")["items"] == [changed]
    refused = run("suppliers", "remove", "farm", exit_code=1).output
    assert "supplier-in-use" in refused
    assert "PO-000001" in refused
    closed = as_json(run, "purchase-orders", "close", "PO-000001", "--line", "2", "--reason", "no milk")
    assert (closed["state"], closed["close_reason"]) == ("OPEN", "no milk")
    assert as_json(run, "purchase-orders", "close", "PO-000001")["state"] == "CLOSED"
    other = as_json(run, *create, "--line", "milk=1", "--id", "my/7")
    first = as_json(run, "purchase-orders", "list", "--limit", "1")
    rest = as_json(run, "purchase-orders", "list", "--after", first["next"])
    assert [each["purchase_order_id"] for each in first["items"] + rest["items"]] == ["PO-000001", "my/7"]
    assert rest["items"] == [other]


@pytest.mark.parametrize(
    ("words", "exit_code", "said"),
    [
        (("--line", "milk"), 2, "ITEM=QUANTITY"),
        (("--line", "milk=1,234"), 2, "two ways"),
        (("--line", "milk=0"), 1, "lines[0].quantity"),
        (("--line", "milk=1@2 EURO"), 1, "lines[0].quantity"),
        (("--line", "mlik=1"), 1, "larder head-office items list"),
        (("--line", "milk=1", "--due", "tomorrow"), 1, "due"),
        (("--line", "milk=1", "--id", " x"), 1, "purchase_order_id"),
        (("--line", "milk=1", "--key", " x"), 2, "printable"),
        (("--line", "milk=1", "--supplier", "fram"), 1, "larder head-office suppliers list"),
        (("--line", "milk=1", "--location", "NO"), 1, "larder head-office locations list"),
    ],
)
def test_an_order_that_cannot_be_is_refused(run: Run, words: tuple[str, ...], exit_code: int, said: str) -> None:
    run("suppliers", "set", "farm", "--name", "Farm")
    create = ("purchase-orders", "create", "--location", "BEY-01", "--supplier", "farm")
    assert said in run(*create, *words, exit_code=exit_code).output
    assert as_json(run, "purchase-orders", "list")["items"] == []


def test_what_is_not_there_is_hinted_at(run: Run) -> None:
    for words in (("show", "PO-9"), ("change", "PO-9"), ("close", "PO-9")):
        said = run("purchase-orders", *words, exit_code=1).output
        assert "purchase-order-not-found" in said
        assert "larder head-office purchase-orders list" in said
    run("purchase-orders", "list", "--location", "NO", exit_code=1)
    run("purchase-orders", "list", "--item", "mlik", exit_code=1)


def test_suppliers_and_levels_from_files(run: Run, office: Engine, tmp_path: Path) -> None:
    suppliers = a_file(
        tmp_path, "\ufeffsupplier_id,name,email,lead_days", "farm,Farm,orders@farm.example,2", "mill,Mill,,"
    )
    before = version(office)
    tried = as_json(run, "suppliers", "import", suppliers, "--dry-run")
    assert tried == {"added": 2, "changed": 0, "unchanged": 0, "rejected": [], "recorded": False}
    assert version(office) == before
    assert as_json(run, "suppliers", "import", suppliers) == tried | {"recorded": True}
    assert "0 added, 0 changed, 2 as they were" in run("suppliers", "import", suppliers).output
    rows = ("BEY-01,milk,5,12.5,,farm,2.5,2", "BEY-02,milk,0,,1000,,,", 'BEY-01,tomato,"0,5",1,,,,')
    header = "location_id,item_id,reorder_point,order_up_to,order_quantity,supplier_id,pack_size,lead_days"
    levels = a_file(tmp_path, header, *rows)
    assert as_json(run, "levels", "import", levels)["added"] == 3
    again = a_file(tmp_path, header, rows[0], "BEY-02,milk,1,,1000,,,")
    assert "0 added, 1 changed, 1 as they were" in run("levels", "import", again).output
    found = as_json(run, "levels", "list", "BEY-01")["items"]
    assert [(each["item_id"], each["reorder_point"]) for each in found] == [("milk", 5), ("tomato", 0.5)]


def test_a_file_with_faults_names_them_all_and_records_nothing(run: Run, office: Engine, tmp_path: Path) -> None:
    run("suppliers", "set", "farm", "--name", "Farm")
    run(*("purchase-orders", "create", "--location", "BEY-01", "--supplier", "farm", "--line", "milk=1", "--id", "old"))
    run(*("purchase-orders", "create", "--location", "BEY-01", "--supplier", "farm", "--line", "milk=1", "--id", "odd"))
    before = version(office)
    orders = a_file(
        tmp_path,
        "purchase_order_id,location_id,supplier_id,item_id,quantity,cost,currency,due,note",
        ",BEY-01,farm,milk,1,,,,",
        ",NOWHERE,farm,milk,1,,,,",
        ",BEY-01,fram,milk,1,,,,",
        ",BEY-01,farm,mlik,1,,,,",
        "old,BEY-01,farm,milk,2,,,,",
        "odd,BEY-01,farm,milk,2,,,,",
        "new,BEY-01,farm,milk,0,,,,",
        "short",
        "fine,BEY-02,farm,milk,1,,,,",
    )
    found = as_json(run, "purchase-orders", "import", orders, exit_code=1)
    assert [each["line"] for each in found["rejected"]] == [3, 4, 5, 6, 7, 8, 9]
    assert {name: found[name] for name in ("added", "unchanged", "recorded")} == {
        "added": 0,
        "unchanged": 0,
        "recorded": False,
    }
    shown = run("purchase-orders", "import", orders, exit_code=1).output
    assert "line 5: there is no item mlik" in shown
    assert "Nothing was recorded" in shown
    suppliers = a_file(tmp_path, "supplier_id,name,lead_days", "a,A,1", "b,,2", "a,A,1", "c,C,400", " ,D,")
    found = as_json(run, "suppliers", "import", suppliers, exit_code=1)
    assert [each["line"] for each in found["rejected"]] == [3, 4, 5, 6]
    levels = a_file(
        tmp_path,
        "location_id,item_id,reorder_point,order_up_to",
        "BEY-01,milk,2,1",
        "BEY-9,mlik,1,2",
        "BEY-01,milk,x,2",
    )
    found = as_json(run, "levels", "import", levels, exit_code=1)
    assert [(each["line"], each["reason"].count("there is no")) for each in found["rejected"]] == [
        (2, 0),
        (3, 2),
        (4, 0),
    ]
    assert version(office) == before


def test_orders_from_a_file_are_made_once(run: Run, tmp_path: Path) -> None:
    run("suppliers", "set", "farm", "--name", "Farm")
    rows = [
        "BEY-01,farm,milk,24,,,2026-12-01,,", "BEY-01,farm,tomato,12.5,30.00,USD,,,",
        "BEY-02,farm,milk,1,,,,,", "BEY-02,farm,milk,2,,,,spring,by the back door",
    ]  # fmt: skip
    file = a_file(tmp_path, "location_id,supplier_id,item_id,quantity,cost,currency,due,purchase_order_id,note", *rows)
    assert as_json(run, "purchase-orders", "import", file, "--dry-run")["added"] == 3
    assert as_json(run, "purchase-orders", "list")["items"] == []
    assert as_json(run, "purchase-orders", "import", file)["added"] == 3
    found = as_json(run, "purchase-orders", "list")["items"]
    assert [(each["purchase_order_id"], each["due"], each["note"], len(each["lines"])) for each in found] == [
        ("PO-000001", "2026-12-01", None, 2),
        ("PO-000002", None, None, 1),
        ("spring", None, "by the back door", 1),
    ]
    assert as_json(run, "purchase-orders", "import", file)["unchanged"] == 3
    assert as_json(run, "purchase-orders", "list")["items"] == found
    again = as_json(run, "purchase-orders", "import", file, "--again")
    assert (again["added"], again["unchanged"]) == (2, 1)


def test_large_files_are_imported_in_batches(run: Run, office: Engine, tmp_path: Path) -> None:
    with office.begin() as connection:
        for start in range(0, 3_000, 1_000):
            items.put(
                connection,
                [CatalogueItem(item_id=f"i-{number}", name="I", unit="kg") for number in range(start, start + 1_000)],
            )
    run("suppliers", "set", "farm", "--name", "Farm")
    levels = a_file(
        tmp_path,
        "location_id,item_id,reorder_point,order_up_to",
        *(f"BEY-01,i-{number},1,2" for number in range(3_000)),
    )
    assert as_json(run, "levels", "import", levels)["added"] == 3_000
    orders = a_file(
        tmp_path,
        "purchase_order_id,location_id,supplier_id,item_id,quantity",
        *(f"o-{number // 150},BEY-01,farm,i-{number},1" for number in range(3_000)),
    )
    assert as_json(run, "purchase-orders", "import", orders)["added"] == 20
    with office.connect() as connection:
        catalogue_history.verify(connection)


@pytest.mark.parametrize("what", ["suppliers", "levels", "purchase-orders"])
def test_a_file_that_cannot_be_read_is_refused(run: Run, tmp_path: Path, what: str) -> None:
    assert "is missing" in run(what, "import", a_file(tmp_path, "x,y"), exit_code=1).output
    assert "No such file" in run(what, "import", tmp_path / "none.csv", exit_code=1).output
    assert "a directory" in run(what, "import", tmp_path, exit_code=1).output
    assert "For example" in run(what, "import", "--help").output


def test_codes_are_completed(run: Run, office_url: str, tmp_path: Path) -> None:
    run("suppliers", "set", "farm-1", "--name", "Farm")
    for code in ("a-1", "a-2"):
        run(
            *("purchase-orders", "create", "--location", "BEY-01", "--supplier", "farm-1", "--line", "milk=1"),
            "--id",
            code,
        )
    run("purchase-orders", "close", "a-1")
    context: Any = SimpleNamespace(params={"folder": tmp_path / "office", "database_url": office_url})
    assert list(complete_supplier(context, "fa")) == [("farm-1", "Farm")]
    assert list(complete_purchase_order(context, "a")) == [("a-2", "farm-1")]
