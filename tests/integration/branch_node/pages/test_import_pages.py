"""The pages of imports over a real node, in this process: take a file, look at it, import it, undo it."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from branch_node.imports.register.import_lifecycle import VOIDS
from branch_node.model import Item
from branch_node.pages.file_upload import MAX_NAME_BYTES
from branch_node.pages.import_desk import KEEP_SECONDS
from shared.runtime.http.scopes import Role
from tests.integration.branch_node.imports.import_runs import CREATING, TILL, WITH_IDS, sales
from tests.support.branch_person import Person, somebody
from tests.support.html import Element, filled_form, rows
from tests.support.unread_bodies import answer_unread
from tests.support.waiting import wait_until

ITEMS = (Item(item_id="milk", name="Whole milk", unit="l"), Item(item_id="gin", name="Gin", unit="l", strict=True))
HEADER = "id,code,qty,at\n"


@pytest.fixture
def person(tmp_path: Path) -> Iterator[Person]:
    with somebody(tmp_path, ITEMS) as found:
        found.sign_in()
        yield found


def a_file(*lines: str) -> bytes:
    return (HEADER + "".join(f"{line}\n" for line in lines)).encode()


def give(
    person: Person, content: bytes | None, map_text: str | None = TILL, *, name: str = "sales.csv", **fields: str
) -> Element:
    """Fill the form of imports, send it, and wait for what becomes of the file."""
    page = person.open("/imports")
    sent = {**filled_form(page, "/imports"), **fields}
    chosen = {
        "file": ("", b"") if content is None else (name, content),
        "map_file": ("", b"") if map_text is None else ("till.toml", map_text.encode()),
    }
    person.last = person.client.post("/imports", data=sent, files=chosen)
    return settled(person)


def settled(person: Person) -> Element:
    """The page once nothing runs any more."""
    if person.last.url.path == "/imports/upload":
        wait_until(
            lambda: person.client.get("/imports/upload/progress").json()["phase"] not in ("checking", "importing")
        )
        return person.open("/imports/upload")
    return person.look()


def import_now(person: Person) -> Element:
    person.send("/imports/upload/import")
    return settled(person)


def counts(page: Element) -> dict[str, str]:
    return {row[0]: row[1] for row in rows(next(page.all("table")))}


def imported(person: Person, content: bytes, map_text: str = TILL, **more: str) -> Element:
    give(person, content, map_text, **more)
    return import_now(person)


def on_hand(person: Person, item: str) -> str:
    table = person.open(f"/stock?q={item}").first("table")
    return " ".join(rows(table)[0])


def uploads(person: Person) -> list[Path]:
    folder = person.node.settings.dir / "uploads"
    return [each for each in folder.rglob("*") if each.is_file()] if folder.exists() else []


# From the file to the stock


def test_a_file_is_looked_at_imported_and_its_rejects_are_downloaded(person: Person) -> None:
    content = a_file("1,milk,2,2025-12-01 10:00", "2,milk,1.5,2025-12-01 11:00", '3,"=cmd",1,2025-12-01 12:00')
    page = give(person, content)
    assert page.first("h1").text == "Import sales.csv?"
    assert counts(page) == {"In the file": "3", "Would be recorded": "2", "Would be rejected": "1"}
    assert "there is no item" in page.text
    assert person.events() == 0

    would_be = person.client.get("/imports/upload/rejects")
    assert would_be.headers["content-disposition"] == "attachment; filename*=UTF-8''sales.csv.rejects.csv"
    person.open("/imports/upload")

    page = import_now(person)
    assert page.first("h1").text == "Imported: sales.csv"
    assert "2 rows were recorded. 1 was rejected." in page.text
    assert person.events() == 2
    (address,) = {each["href"] for each in page.all("a") if each.attributes.get("href", "").endswith("/rejects")}
    rejects = person.client.get(address)
    assert rejects.headers["content-disposition"] == "attachment; filename*=UTF-8''sales.csv.rejects.csv"
    assert rejects.headers["content-type"].startswith("text/csv")
    header, row = rejects.text.splitlines()
    assert header == "reject_line,reject_reason,id,code,qty,at"
    assert row.startswith("4,")
    assert "'=cmd" in row
    assert "3.5" in on_hand(person, "milk")

    # The list has it, and what was uploaded is gone.
    page = person.open("/imports")
    (row_of_list,) = rows(page.first("table"))
    assert row_of_list[1:4] == ["sales.csv from till-7, 1 rejected imported", "3", "2"]
    assert uploads(person) == []


def test_the_rejects_of_before_are_replaced_by_what_is_still_rejected(person: Person) -> None:
    content = a_file("1,milk,1,2025-12-01 10:00", "2,tea,1,2025-12-01 11:00")
    imported(person, content, WITH_IDS)
    (import_id,) = import_ids(person)
    assert person.client.get(f"/imports/{import_id}/rejects").status_code == 200
    assert person.client.put(
        "/v1/items/tea",
        json={"name": "Tea", "unit": "pcs"},
        headers={"Authorization": f"Bearer {person.keys[Role.MANAGER]}"},
    ).is_success
    page = imported(person, content, WITH_IDS)
    assert counts(page) == {"In the file": "2", "Recorded": "1", "Recorded before": "1"}
    assert import_ids(person) == [import_id]
    person.last = person.client.get(f"/imports/{import_id}/rejects")
    assert person.last.status_code == 404
    assert person.look().first("h1").text == "There is nothing here"


def import_ids(person: Person) -> list[str]:
    page = person.open("/imports")
    return [
        each["href"].rpartition("/")[2] for each in page.first("table").all("a") if not each["href"].endswith("/undo")
    ]


def test_the_same_file_again_was_imported_already(person: Person) -> None:
    content = a_file(*sales(3))
    imported(person, content)
    page = give(person, gzip.compress(content), name="other.csv.gz")
    assert "was imported already" in page.text
    assert not [each for each in page.all("form") if each["action"] == "/imports/upload/import"]
    person.send("/imports/upload/discard")
    assert person.events() == 3
    assert uploads(person) == []


def test_a_workbook_is_taken(person: Person, tmp_path: Path) -> None:
    from openpyxl import Workbook

    book = Workbook()
    assert book.active is not None
    for line in ("id,code,qty,at", "1,milk,2,2025-12-01 10:00"):
        book.active.append(line.split(","))
    book.save(tmp_path / "book.xlsx")
    page = give(person, (tmp_path / "book.xlsx").read_bytes(), name="book.xlsx")
    assert counts(page)["Would be recorded"] == "1"


def test_new_items_are_named_before_they_are_defined(person: Person) -> None:
    page = give(person, a_file("1,tea,2,2025-12-01 10:00"), CREATING)
    assert "1 item would be defined." in page.text
    assert "tea" not in person.node.writer.items
    import_now(person)
    assert "tea" in person.node.writer.items


def table(page: Element, title: str) -> list[list[str]]:
    """The rows of the table with this caption."""
    return rows(next(each for each in page.all("table") if each.first("caption").text == title))


def test_a_dry_run_shows_what_rows_become_and_what_looks_alike(person: Person) -> None:
    page = give(
        person,
        a_file("1,tea,2,2025-12-01 10:00", "2,Tea,0.5,2025-12-01 11:30"),
        CREATING.replace("[columns]", '[columns]\nid = "id"'),
    )
    zone = person.node.writer.location.timezone
    assert table(page, f"What the first rows would become ({zone})") == [
        ["2", "Order deduction", "tea", "2", "2025-12-01 10:00", "1"],
        ["3", "Order deduction", "Tea", "0.5", "2025-12-01 11:30", "2"],
    ]
    assert table(page, "New items") == [["tea", "tea", "pcs"], ["Tea", "Tea", "pcs"]]
    assert "'tea', 'Tea': 2 items, Tea, tea" in [each.text for each in page.all("li")]


def test_cells_that_were_left_out_are_told_before_and_after(person: Person) -> None:
    told = "cost: 1 cell that cannot be read"
    content = b"id,code,qty,at,cost\n1,milk,1,2025-12-01 10:00,n/a\n2,milk,1,2025-12-01 10:00,1.20\n"
    rest = '[constants]\ncurrency = "USD"\n[bad_cells]\ncost = "leave-out"\n'
    received = TILL.replace("ORDER_DEDUCTION", "PURCHASE_RECEIVED")
    map_text = received.replace("[columns]", '[columns]\ncost = "cost"') + rest
    assert told in give(person, content, map_text).text
    assert told in import_now(person).text


def test_a_file_without_times_takes_one_and_conflicts_can_be_accepted(person: Person) -> None:
    untimed = WITH_IDS.partition("occurred_at")[0]
    page = give(person, b"id,code,qty\n1,milk,1\n", untimed, at="2025-12-01T10:00")
    assert counts(page)["Would be recorded"] == "1"
    import_now(person)
    page = imported(person, b"id,code,qty\n1,milk,2\n2,milk,4\n", untimed, at="2025-12-01T10:00")
    assert counts(page)["In conflict with what is recorded"] == "1"
    conflicts = next(each["href"] for each in page.all("a") if each.attributes.get("href", "").endswith("/conflicts"))
    assert person.client.get(conflicts).text.startswith("conflict_line,recorded_sequence,conflict,")
    page = imported(person, b"id,code,qty\n1,milk,2\n2,milk,4\n", untimed, at="2025-12-01T10:00", accept="2")
    assert counts(page)["Recorded"] == "1"
    assert person.events() == 3


# Maps


def test_a_map_is_kept_once_a_file_is_imported_with_it(person: Person) -> None:
    give(person, a_file(*sales(1)))
    assert not (person.node.settings.dir / "maps").exists()
    import_now(person)
    kept = person.node.settings.dir / "maps" / "till-7.toml"
    assert kept.read_text() == TILL
    assert kept.stat().st_mode & 0o777 == 0o600
    page = give(person, a_file(*sales(1, first=9)), None, map="till-7", name="next.csv")
    assert counts(page)["Would be recorded"] == "1"


def test_a_bad_map_is_told_beside_its_field(person: Person) -> None:
    page = give(person, a_file(*sales(1)), TILL.replace("quantity", "quantty"))
    assert person.last.status_code == 422
    error = page.by_id("map_file-error").text
    assert "till.toml" in error
    assert "columns.quantty: no such key" in error
    assert page.by_id("map_file").attributes["aria-invalid"] == "true"
    assert uploads(person) == []
    page = give(person, a_file(*sales(1)), "<script>")
    assert "till.toml" in page.by_id("map_file-error").text


def test_a_map_that_does_not_fit_the_file_is_told_beside_the_map(person: Person) -> None:
    page = give(person, b"a,b\n1,2\n")
    assert "code" in page.by_id("map_file-error").text
    assert "sales.csv was not imported" in page.text
    assert str(person.node.settings.dir) not in page.text


@pytest.mark.parametrize("name", ["/etc/passwd", "../settings.toml", "..", "a\\b"])
def test_a_map_looks_up_no_file_of_the_machine(person: Person, name: str) -> None:
    lookup = f'[lookup.products]\nfile = {name!r}\nkey = "code"\non = "code"\n'
    page = give(person, a_file(*sales(1)), TILL + lookup)
    assert person.last.status_code == 422
    assert "is not the name of a file in the node's folder maps" in page.by_id("map_file-error").text


def test_a_lookup_beside_the_kept_maps_is_read(person: Person) -> None:
    maps = person.node.settings.dir / "maps"
    lookup = '[lookup.products]\nfile = "products.csv"\nkey = "number"\non = "code"\n'
    looking = TILL.replace('item = "code"', 'item = "products.name"') + lookup
    page = give(person, a_file("1,7,2,2025-12-01 10:00"), looking)
    assert "is not in the node's folder maps" in page.by_id("map_file-error").text
    maps.mkdir()
    (maps / "products.csv").write_text("number,name\n7,milk\n")
    page = give(person, a_file("1,7,2,2025-12-01 10:00"), looking)
    assert counts(page)["Would be recorded"] == "1", page.text


# What is refused


def test_a_bad_file_is_told_beside_its_field(person: Person) -> None:
    for content, told in ((b"", "is empty"), (b"%PDF-1.7 x", "PDF"), (b"\x1f\x8bnothing", "damaged")):
        page = give(person, content)
        error = page.by_id("file-error").text
        assert error.startswith("sales.csv ")
        assert told in error
    assert person.events() == 0


def test_a_form_without_file_or_map_says_so(person: Person) -> None:
    page = give(person, None, None)
    assert person.last.status_code == 422
    assert page.by_id("file-error").text == "Which file? Choose the file that the till has written."
    assert page.by_id("map-error").text == "Which map? Choose one that is kept, or give a new one."


def test_a_hostile_name_is_a_name(person: Person) -> None:
    page = give(person, a_file(*sales(1)), name="C:\\tmp\\<b>x</b>\x1b[31m.csv")
    assert person.last.status_code in (200, 422)
    assert not list(page.all("b"))
    page = give(person, a_file(*sales(1)), name="x" * (MAX_NAME_BYTES + 1))
    assert "A file of that name is not taken." in page.by_id("file-error").text
    for name in ("dry", "real", "file", "map.toml"):
        page = give(person, a_file(*sales(1)), name=name)
        assert page.first("h1").text == f"Import {name}?"
        person.send("/imports/upload/discard")
    page = give(person, a_file(*sales(1)), name="../../up.csv")
    assert page.first("h1").text == "Import up.csv?"
    assert [each.name for each in uploads(person)] == ["up.csv"]


def test_a_file_over_the_limit_is_refused_and_leaves_nothing(person: Person) -> None:
    desk_limit = person.node.settings.upload_mib << 20
    page = give(person, b"x" * (desk_limit + 1))
    assert person.last.status_code == 413
    assert "The file has more than 1 MiB." in page.by_id("file-error").text
    assert uploads(person) == []
    # Without a length that says so before.
    sent = filled_form(person.open("/imports"), "/imports")

    def body() -> Iterator[bytes]:
        yield part("csrf", sent["csrf"])
        yield b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.csv"\r\n\r\n'
        for _ in range(desk_limit // 65_536 + 1):
            yield b"y" * 65_536
        yield b"\r\n--x--\r\n"

    person.last = person.client.post("/imports", content=body(), headers=MULTIPART)
    assert person.last.status_code == 413
    assert "The file has more than 1 MiB." in person.look().by_id("file-error").text
    assert uploads(person) == []
    assert counts(give(person, a_file(*sales(1))))["Would be recorded"] == "1"


MULTIPART = {"Content-Type": "multipart/form-data; boundary=x"}


def part(name: str, value: str, extra: str = "") -> bytes:
    return f'--x\r\nContent-Disposition: form-data; name="{name}"{extra}\r\n\r\n{value}\r\n'.encode()


@pytest.mark.parametrize(
    ("content_type", "body", "status"),
    [
        ("application/x-www-form-urlencoded", b"csrf=TOKEN", 415),
        ("text/csv", b"a,b", 415),
        ("multipart/form-data", part("csrf", "TOKEN") + b"--x--\r\n", 400),
        ("multipart/form-data; boundary=", b"--x--\r\n", 400),
        ("multipart/form-data; boundary=" + "b" * 1_000, b"--x--\r\n", 400),
        ("multipart/form-data; boundary=x", b"", 400),
        ("multipart/form-data; boundary=x", b"nonsense", 400),
        ("multipart/form-data; boundary=x", part("csrf", "TOKEN"), 400),
        ("multipart/form-data; boundary=x", part("csrf", "TOKEN") + part("n" * 5_000, "") + b"--x--\r\n", 400),
        ("multipart/form-data; boundary=x", part("csrf", "TOKEN") + part("other", "1") + b"--x--\r\n", 400),
        ("multipart/form-data; boundary=x", part("csrf", "TOKEN") + part("file", "1") + b"--x--\r\n", 400),
        ("multipart/form-data; boundary=x", part("csrf", "TOKEN") + part("map", "m" * 5_000) + b"--x--\r\n", 400),
        ("multipart/form-data; boundary=x", part("csrf", "TOKEN") + part("map", "a") * 2 + b"--x--\r\n", 400),
        ("multipart/form-data; boundary=x", part("csrf", "TOKEN") + part("map", "\0") + b"--x--\r\n", 400),
        ("multipart/form-data; boundary=x", part("csrf", "TOKEN") + b"--x\r\n\r\nno header\r\n--x--\r\n", 400),
        ("multipart/form-data; boundary=x", part("csrf", "TOKEN") + b"--x--\r\n", 422),
        ("multipart/form-data; boundary=x", part("csrf", "wrong") + b"--x--\r\n", 403),
        ("multipart/form-data; boundary=x", part("map", "a") + b"--x--\r\n", 403),
        ("multipart/form-data; boundary=x", part("file", "1", '; filename="a.csv"') + b"--x--\r\n", 400),
    ],
)
def test_a_form_that_cannot_be_read_is_a_documented_page(
    person: Person, content_type: str, body: bytes, status: int
) -> None:
    token = filled_form(person.open("/imports"), "/imports")["csrf"]
    person.last = person.client.post(
        "/imports", content=body.replace(b"TOKEN", token.encode()), headers={"Content-Type": content_type}
    )
    assert person.last.status_code == status, person.last.text
    person.look()
    assert uploads(person) == []
    # What was refused leaves room for the next.
    assert counts(give(person, a_file(*sales(1))))["Would be recorded"] == "1"


def test_a_form_of_another_site_is_refused(person: Person) -> None:
    sent = filled_form(person.open("/imports"), "/imports")
    answer = person.client.post(
        "/imports",
        data=sent,
        files={"file": ("sales.csv", a_file(*sales(1)))},
        headers={"Sec-Fetch-Site": "cross-site"},
    )
    assert answer.status_code == 403
    give(person, a_file(*sales(1)))
    for address in ("/imports/upload/import", "/imports/upload/discard"):
        assert person.client.post(address, data={"upload": "x"}).status_code == 403
    assert person.events() == 0


def test_a_file_that_unpacks_to_more_than_the_disk_can_spare_is_refused(
    person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = iter([100 << 20, 80 << 20, 49 << 20])
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=next(free, 0)))
    page = give(person, gzip.compress(a_file() + b"1,milk,1,2025-12-01 10:00\n" * 400_000), name="bomb.csv.gz")
    assert page.by_id("file-error").text.startswith("bomb.csv.gz takes more than half of the free disk")
    assert person.events() == 0


# Who may


def test_a_viewer_looks_and_imports_nothing(person: Person) -> None:
    imported(person, a_file(*sales(2), "9,tea,1,2025-12-01 10:00"))
    (import_id,) = import_ids(person)
    person.client.cookies.clear()
    person.sign_in(Role.VIEWER)
    page = person.open("/imports")
    assert [each["action"] for each in page.all("form")] == ["/sign-out"]
    csrf = filled_form(page, "/sign-out")["csrf"]
    person.open(f"/imports/{import_id}")
    assert person.last.status_code == 200
    for address in ("/imports/upload/rejects", f"/imports/{import_id}/rejects"):
        assert person.client.get(address).status_code == 403
    for address in ("/imports/upload/import", "/imports/upload/discard", f"/imports/{import_id}/undo"):
        assert person.client.post(address, data={"csrf": csrf, "reason": "wrong-map"}).status_code == 403
    answer = person.client.post("/imports", data={"csrf": csrf}, files={"file": ("a.csv", b"a")})
    assert answer.status_code == 403


def test_staff_imports_and_undoes_nothing_and_adjusts_nothing(person: Person) -> None:
    person.client.cookies.clear()
    person.sign_in(Role.STAFF)
    adjusting = TILL.replace("ORDER_DEDUCTION", "ADJUSTMENT") + '[constants]\nreason = "found"\n'
    page = imported(person, a_file(*sales(1)), adjusting)
    assert "1 was rejected" in page.text
    assert "(forbidden)" in page.text
    imported(person, a_file(*sales(2, first=5)), name="sold.csv")
    assert person.events() == 2
    for import_id in import_ids(person):
        assert not [each for each in person.open(f"/imports/{import_id}").all("a") if each["href"].endswith("/undo")]
        assert person.client.get(f"/imports/{import_id}/undo").status_code == 403


def test_nobody_is_sent_to_sign_in_and_back(person: Person) -> None:
    person.client.cookies.clear()
    person.last = person.client.post("/imports", data={"csrf": "x"}, files={"file": ("a.csv", b"a" * 100_000)})
    assert person.look().first("h1").text == "Sign in"
    assert person.send("/sign-in", key=person.keys[Role.MANAGER]).first("h1").text == "Import"


def test_nothing_of_a_file_is_read_for_nobody(person: Person) -> None:
    for headers in ({}, {"cookie": "larder-branch=wrong"}):
        sent = {"content-type": "multipart/form-data; boundary=x", **headers}
        answer = answer_unread(person.node.app, "POST", "/imports", sent, size=64 << 20)
        assert answer.status == 303
        # What is asked for then is thrown away, so that the caller sees the answer.
        assert uploads(person) == []
        assert not (person.node.settings.dir / "uploads").exists()


# One at a time


def test_a_second_file_waits_until_the_first_is_imported_or_left(person: Person) -> None:
    give(person, a_file(*sales(2)))
    page = give(person, a_file(*sales(2)), name="second.csv")
    assert person.last.status_code == 409
    assert "Another file is being imported." in page.text
    assert "sales.csv, given with the key" in page.text
    assert len(uploads(person)) == 1

    # A page of before confirms nothing of another upload.
    old = filled_form(person.open("/imports/upload"), "/imports/upload/import")
    person.send("/imports/upload/discard")
    give(person, a_file(*sales(4)), name="second.csv")
    person.client.post("/imports/upload/import", data=old)
    assert person.events() == 0
    person.open("/imports/upload")
    import_now(person)
    assert person.events() == 4


def test_an_import_confirmed_twice_runs_once(person: Person) -> None:
    give(person, a_file(*sales(3)))
    sent = filled_form(person.open("/imports/upload"), "/imports/upload/import")
    for _ in range(2):
        person.last = person.client.post("/imports/upload/import", data=sent)
    settled(person)
    assert person.events() == 3
    assert len(import_ids(person)) == 1


# What is left behind


def test_an_upload_of_a_process_before_is_removed_and_one_of_a_day_too(person: Person) -> None:
    give(person, a_file(*sales(1)))
    (desk,) = person.node._parts
    desk.sweep()
    assert len(uploads(person)) == 1
    current = desk.current  # type: ignore[attr-defined]
    current.began -= KEEP_SECONDS + 1
    desk.sweep()
    assert uploads(person) == []
    assert person.open("/imports/upload").first("h1").text == "Import"

    give(person, a_file(*sales(1)))
    assert len(uploads(person)) == 1
    desk.start()
    assert uploads(person) == []


# Undoing


def test_an_import_is_undone_with_a_reason_and_its_file_can_be_imported_again(person: Person) -> None:
    content = a_file(*sales(3))
    imported(person, content)
    (import_id,) = import_ids(person)
    page = person.open(f"/imports/{import_id}/undo")
    assert page.first("h1").text == "Undo the import of sales.csv?"
    page = person.send(f"/imports/{import_id}/undo")
    assert person.last.status_code == 422
    assert page.by_id("reason-error").text.startswith("Why is it undone?")
    page = person.send(f"/imports/{import_id}/undo", reason="wrong-map")
    assert person.last.url.path == f"/imports/{import_id}"
    assert "Nothing of it stands in the log." in page.text
    assert person.events() == 6
    voided = person.open("/log").text
    assert "wrong map" in voided
    assert "undone" in person.open("/imports").first("table").text
    assert person.open(f"/imports/{import_id}/undo").first("h1").text == "Undo the import of sales.csv?"
    assert counts(imported(person, content))["Recorded"] == "3"


def test_an_undo_that_takes_longer_than_a_request_may_goes_on(person: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("branch_node.pages.import_pages.UNDO_SECONDS", 0.0)
    imported(person, a_file(*sales(2 * VOIDS + 1)))
    (import_id,) = import_ids(person)
    person.open(f"/imports/{import_id}/undo")
    page = person.send(f"/imports/{import_id}/undo", reason="wrong-map")
    for standing in (VOIDS + 1, 1):
        assert person.last.url.path == f"/imports/{import_id}/undo"
        assert "A part of it is voided" in page.text
        assert rows(next(page.all("table"))) == [["Order deduction", f"{standing}", f"{standing}"]]
        page = person.send(f"/imports/{import_id}/undo")  # the reason is still chosen
    assert person.last.url.path == f"/imports/{import_id}"
    assert "Nothing of it stands in the log." in page.text
    assert " 0 " in f"{on_hand(person, 'milk')} "


def test_an_import_that_is_not_there_is_a_page(person: Person) -> None:
    for address in ("/imports/nothing", "/imports/nothing/undo", "/imports/nothing/rejects", "/imports/..%2f/rejects"):
        person.open(address)
        assert person.last.status_code == 404
    person.open("/imports?after=nonsense")
    assert person.last.status_code == 400


def test_the_list_has_pages(person: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("branch_node.pages.import_pages.SHOWN", 2)
    for number in range(3):
        imported(person, a_file(*sales(1, first=10 * number + 1)), WITH_IDS, name=f"day-{number}.csv")
    page = person.open("/imports")
    assert len(rows(page.first("table"))) == 2
    older = next(each["href"] for each in page.all("a") if each.text == "Older")
    assert [row[1] for row in rows(person.open(older).first("table"))] == ["day-0.csv from till-7 imported"]
