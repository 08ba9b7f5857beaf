"""The pages of reservations over a real node: reserve, confirm, release, and every refusal told in its place."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from branch_node.model import Item
from branch_node.writer.writer import Writer
from shared.runtime.http.scopes import Role
from shared.runtime.problems import DATABASE_BUSY, Recorded
from tests.support.branch import PutItems
from tests.support.branch_person import Person, somebody
from tests.support.html import Element, form_fields, parse, rows
from tests.support.waiting import wait_until

HOSTILE = "<b>حلوم</b> & co"
ITEMS = (
    Item(item_id="milk", name="Whole milk", unit="l"),
    Item(item_id="beans", name="Coffee beans", unit="kg"),
    Item(item_id='a&b"c', name=HOSTILE, unit="pcs"),
)
NEW = "/reservations/new"


@pytest.fixture
def person(tmp_path: Path) -> Iterator[Person]:
    with somebody(tmp_path, ITEMS) as found:
        level = {"reorder_point": 2, "order_up_to": 9}
        answer = found.client.put("/v1/reorder-levels/beans", json=level, headers=headers(found, Role.MANAGER))
        assert answer.status_code == 200, answer.text
        for item in ITEMS:
            post(found, "/v1/events", {"type": "PURCHASE_RECEIVED", "item_id": item.item_id, "quantity": 10})
        yield found


def headers(person: Person, role: Role = Role.STAFF) -> dict[str, str]:
    return {"Authorization": f"Bearer {person.keys[role]}"}


def post(person: Person, path: str, body: dict[str, Any], **more: str) -> dict[str, Any]:
    """What another client of the node does; its answer."""
    answer = person.client.post(path, json=body, headers=headers(person) | {"Idempotency-Key": str(uuid4())} | more)
    assert answer.status_code < 300, answer.text
    found: dict[str, Any] = answer.json()
    return found


def reserved_elsewhere(person: Person, order_id: str, lines: dict[str, float], **more: Any) -> str:
    body = {"order_id": order_id, "lines": [{"item_id": item, "quantity": number} for item, number in lines.items()]}
    reservation_id: str = post(person, "/v1/reservations", body | more)["reservation_id"]
    return reservation_id


def reserve(person: Person, order: str, *lines: tuple[str, str], **more: str) -> Element:
    person.open(NEW)
    typed: dict[str, str] = {}
    for number, (item, quantity) in enumerate(lines, start=1):
        typed |= {f"item-{number}": item, f"quantity-{number}": quantity}
    return person.send(NEW, order=order, **typed, **more)


def reservations(person: Person) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = person.client.get("/v1/reservations", headers=headers(person)).json()["items"]
    return found


def address(person: Person) -> str:
    """Where the newest reservation is confirmed and released."""
    return f"/reservations/{reservations(person)[-1]['reservation_id']}"


def form(page: Element, act: str) -> dict[str, str]:
    """What a browser would send of the form that confirms or releases, untouched."""
    return next(fields for each in page.all("form") if (fields := form_fields(each)).get("act") == act)


def end(person: Person, act: str, **changed: str) -> Element:
    """Send the form of the reservation's page that is open; a field of an item is given by its code."""
    fields = form(parse(person.last.text), act)
    typed = {name if name in fields else f"sent:{name}": text for name, text in changed.items()}
    assert typed.keys() <= fields.keys()
    person.last = person.client.post(person.last.url.path, data=fields | typed)
    return person.look()


def tables(page: Element) -> list[list[list[str]]]:
    return [rows(table) for table in page.all("table")]


def figures(person: Person, item_id: str) -> tuple[float, float, float]:
    found = person.client.get(f"/v1/stock/{item_id}", headers=headers(person)).json()
    return found["on_hand"], found["reserved"], found["available"]


# Reserving


def test_an_order_is_reserved_sent_in_two_parcels_and_told_at_each_step(person: Person) -> None:
    person.sign_in(Role.STAFF)
    page = reserve(person, "4711", ("Whole Milk", "6"), ("beans", "1,5"), ("milk", "1"), expires="3600")
    assert person.last.url.path == "/reservations"
    done = next(each for each in page.all("div") if each.attributes.get("role") == "status")
    assert done.first("h2").text == "Order 4711: reserved"
    assert "Whole milk: 7 l reserved" in done.text
    assert "Whole milk: on hand 10 l, reserved 7, available 3" in done.text
    assert "on the clock here, Asia/Beirut; in 59 minutes." in done.text
    (made,) = reservations(person)
    assert (made["order_id"], made["source"], made["state"]) == ("4711", "page", "ACTIVE")
    active, ended = tables(page)
    assert [row[:2] for row in active] == [["4711", "1.5 kg Coffee beans 7 l Whole milk"]]
    assert ended == [["No reservation has ended yet."]]

    # The first parcel, with the rest kept: the form has what is open, and what was not sent is emptied.
    person.open(address(person))
    page = end(person, "confirm", milk="5", beans="", rest="keep")
    assert "Whole milk: 2 l reserved, 5 l confirmed" in page.text
    assert "Whole milk: on hand 5 l, reserved 2, available 3" in page.text
    assert tables(page)[0][0][1] == "1.5 kg Coffee beans 2 l Whole milk of 7"

    # The second as it stands on the page.
    page = person.open(address(person))
    assert form(page, "confirm").items() >= {"sent:milk": "2", "sent:beans": "1.5", "rest": "release"}.items()
    page = end(person, "confirm")
    assert page.first("h2").text == "Order 4711: confirmed"
    assert tables(page)[0] == [["Nothing is reserved."]]
    assert tables(page)[1][0][1] == "confirmed 1.5 kg Coffee beans 7 l Whole milk"
    assert (figures(person, "milk"), figures(person, "beans")) == ((3, 0, 3), (8.5, 0, 8.5))


def test_the_rest_of_a_part_is_given_back_and_a_release_frees_all(person: Person) -> None:
    person.sign_in()
    reserve(person, "A", ("milk", "4"))
    person.open(address(person))
    page = end(person, "confirm", milk="3,5")
    assert "Whole milk: 3.5 l confirmed, 0.5 l given back" in page.text
    assert figures(person, "milk") == (6.5, 0, 6.5)
    reserve(person, "B", ("milk", "4"), ('a&b"c', "2"))
    person.open(address(person))
    page = end(person, "release", reason="cancelled")
    assert page.first("h2").text == "Order B: released"
    assert f"{HOSTILE}: on hand 10 pcs, reserved 0, available 10" in page.text
    assert reservations(person)[-1]["state"] == "RELEASED"
    log = person.client.get("/v1/events?type=RESERVATION_RELEASED", headers=headers(person)).json()["items"]
    assert [(each["quantity"], each["reason"]) for each in log] == [(0.5, "rest"), (2, "cancelled"), (4, "cancelled")]


def test_what_is_short_is_told_beside_each_line_and_all_that_was_typed_is_kept(person: Person) -> None:
    person.sign_in()
    page = reserve(person, "4711", ("milk", "12"), ("beans", "3"), ('a&b"c', "10.5"), expires="86400")
    assert person.last.status_code == 409
    assert "Nothing was reserved: not everything is available." in page.text
    assert page.by_id("quantity-1-error").text == "12 l wanted, 10 available."
    assert page.by_id("quantity-3-error").text == "10.5 pcs wanted, 10 available."
    assert "autofocus" in page.by_id("quantity-1").attributes
    kept = form_fields(next(each for each in page.all("form") if each["action"] == NEW))
    assert kept.items() >= {"order": "4711", "quantity-1": "12", "item-2": "beans", "expires": "86400"}.items()
    assert reservations(person) == []
    # The refusals are in the log; sent again with less it is another try.
    refused = person.client.get("/v1/events?type=RESERVATION_REFUSED", headers=headers(person)).json()["items"]
    assert len(refused) == 2
    page = person.send(NEW, **{"quantity-1": "10", "quantity-3": "10"})
    assert page.first("h2").text == "Order 4711: reserved"


def test_a_form_sent_twice_reserves_once_and_a_refused_one_is_refused_once(person: Person) -> None:
    person.sign_in()
    for quantity, status in (("2", 200), ("99", 409)):
        person.open(NEW)
        opened = form_fields(next(each for each in parse(person.last.text).all("form") if each["action"] == NEW))
        sent = {**opened, "order": f"order-{quantity}", "item-1": "milk", "quantity-1": quantity}
        before = person.events()
        answers = [person.client.post(NEW, data=sent) for _ in range(3)]
        assert [each.status_code for each in answers] == [status] * 3
        assert person.events() == before + 1
    sent = form(person.open(address(person)), "confirm")
    before = person.events()
    for _ in range(3):
        answer = person.client.post(person.last.url.path, data=sent)
        assert "Order order-2: confirmed" in parse(answer.text).text
    assert person.events() == before + 1


def test_a_form_that_reserved_something_else_is_asked_about(person: Person) -> None:
    person.sign_in()
    person.open(NEW)
    opened = person.last
    person.send(NEW, order="A", **{"item-1": "milk", "quantity-1": "2"})
    person.last = opened
    page = person.send(NEW, order="A", **{"item-1": "milk", "quantity-1": "3"})
    assert person.last.status_code == 409
    assert "recorded something else before" in page.text
    assert page.by_id("quantity-1")["value"] == "3"


def test_what_is_wrong_is_told_beside_its_field(person: Person) -> None:
    person.sign_in()
    more = {"source": "web shop", "revision": "two", "expires": "x"}
    page = reserve(person, "", ("milc", "1,250"), ("beans", ""), ("", "2"), **more)
    assert person.last.status_code == 422
    wrong = [each for each in page.all("p") if each.attributes.get("class") == "error"]
    told = {each["id"].removesuffix("-error"): each.text for each in wrong}
    assert told.keys() == {"order", "item-1", "quantity-1", "quantity-2", "item-3", "expires", "revision"}
    assert told["item-1"] == "There is no item “milc” here. Did you mean Whole milk (milk)?"
    assert told["quantity-1"] == "1,250 can be read in two ways. Write 1250 or 1.250."
    assert told["quantity-2"].startswith("How much?")
    assert "autofocus" in page.by_id("order").attributes
    lines = {"item-1": "milk", "quantity-1": "0", "item-2": "", "quantity-3": ""}
    page = person.send(NEW, order="A", revision="2", expires="900", **lines)
    assert page.by_id("quantity-1-error").text.startswith("Outside the range from 0.001")
    page = person.send(NEW, **{"quantity-1": "1"})
    assert page.by_id("source-error").text.startswith("A system's name has at most 40 letters")
    page = person.send(NEW, source="webshop", order="\u200bA")
    assert "unprintable" in page.by_id("order-error").text
    assert reserve(person, "A").by_id("item-1-error").text.startswith("Reserve what?")
    assert reservations(person) == []


def test_more_lines_keep_what_was_typed_and_record_nothing(person: Person) -> None:
    person.sign_in()
    before = person.events()
    page = reserve(person, "A", ("milk", "1"), more="1")
    assert (person.last.status_code, person.events()) == (200, before)
    assert (page.by_id("item-1")["value"], page.by_id("order")["value"]) == ("milk", "A")
    assert "autofocus" in page.by_id("item-4").attributes
    for _ in range(4):
        page = person.send(NEW, more="1")
    assert page.by_id("item-20")
    assert "More lines" not in page.text
    page = person.send(NEW, **{"item-20": "beans", "quantity-20": "2"})
    assert page.first("h2").text == "Order A: reserved"
    assert [line["item_id"] for line in reservations(person)[0]["lines"]] == ["beans", "milk"]


# A changed order


def test_a_changed_order_is_stated_anew_from_its_reservation(person: Person) -> None:
    person.sign_in()
    reserve(person, "A", ("milk", "4"), ("beans", "1"))
    page = reserve(person, "A", ("milk", "5"))
    assert person.last.status_code == 409
    assert "state all of it as revision 2 or higher" in page.by_id("revision-error").text
    person.open(address(person))
    end(person, "confirm", milk="3", beans="", rest="keep")
    page = person.open(address(person))
    link = next(each for each in page.all("a") if each.text == "Change the order")
    page = person.open(link["href"])
    named = ("order", "revision", "item-2", "quantity-2")
    assert [page.by_id(name)["value"] for name in named] == ["A", "2", "milk", "4"]
    page = person.send(NEW, **{"quantity-2": "6"})
    assert "Whole milk: 3 l reserved, 3 l confirmed" in page.text
    assert len(reservations(person)) == 1
    # Ended, it can be reserved again; what was confirmed is part of the whole.
    person.open(address(person))
    end(person, "release")
    page = person.open(address(person))
    link = next(each for each in page.all("a") if each.text == "Reserve for it again")
    page = person.open(link["href"])
    assert [page.by_id(name)["value"] for name in ("revision", "quantity-1", "quantity-2")] == ["3", "1", "6"]
    page = person.send(NEW)
    assert "Whole milk: 3 l reserved" in page.text
    again = next(each for each in person.open(address(person)).all("a") if each.text == "Change the order")
    assert "quantity-2=6" in again["href"], "the earlier parcel counts"


def test_an_order_that_is_cancelled_is_told_at_the_order(person: Person) -> None:
    person.sign_in()
    body = {"order_id": "A", "source": "page", "lines": [{"item_id": "milk", "quantity": 1}]}
    post(person, "/v1/orders", body)
    answer = person.client.post("/v1/orders/A/cancel", json={"source": "page"}, headers=headers(person, Role.MANAGER))
    assert answer.status_code < 300
    page = reserve(person, "A", ("milk", "1"))
    assert person.last.status_code == 409
    assert page.by_id("order-error").text.startswith("The order “A” is cancelled.")


# Refusals of what has ended


@pytest.mark.parametrize("act", ["confirm", "release"])
def test_what_ended_meanwhile_is_told_and_what_was_typed_is_shown(person: Person, act: str) -> None:
    person.sign_in()
    reserve(person, "A", ("milk", "4"))
    person.open(address(person))
    post(person, f"/v1{address(person)}/release", {})
    before = person.events()
    page = end(person, act, **({"milk": "3.25"} if act == "confirm" else {}))
    assert person.last.status_code == 409
    assert "The reservation has ended: it is released. Nothing was recorded." in page.text
    assert ("You wrote: Whole milk: 3.25" in page.text) == (act == "confirm")
    assert not any(each["action"].startswith("/reservations") for each in page.all("form"))
    assert person.events() == before


def test_an_expired_one_is_told_whether_or_not_its_event_is_there(person: Person) -> None:
    person.sign_in()
    reservation_id = reserved_elsewhere(person, "A", {"milk": 4}, expires_in=1)
    opened = person.open(f"/reservations/{reservation_id}")
    sent = form(opened, "confirm")
    wait_until(lambda: reservations(person)[0]["state"] == "EXPIRED", 20, what="the reservation to expire")
    page = person.open("/reservations")
    assert tables(page)[0] == [["Nothing is reserved."]]
    assert tables(page)[1][0][:2] == ["Afrom api", "expired 4 l Whole milk"]
    person.last = person.client.post(f"/reservations/{reservation_id}", data=sent)
    assert "The reservation has ended: it is expired." in person.look().text
    assert figures(person, "milk") == (10, 0, 10)


def test_more_than_open_is_told_beside_the_item(person: Person) -> None:
    person.sign_in()
    reserve(person, "A", ("milk", "4"), ("beans", "1"))
    person.open(address(person))
    page = end(person, "confirm", milk="5", beans="0.5", rest="keep")
    assert person.last.status_code == 409
    assert page.by_id("sent-2-error").text.startswith("5 to confirm, and only 4 still reserved.")
    kept = form(page, "confirm")
    assert kept.items() >= {"sent:milk": "5", "sent:beans": "0.5", "rest": "keep"}.items()
    assert end(person, "confirm", milk="x", beans="").by_id("sent-2-error").text.startswith("Not a decimal number")
    assert end(person, "confirm", milk="", beans="0").by_id("sent-1-error").text.startswith("What was sent?")
    assert form(parse(person.last.text), "confirm").items() >= {"sent:milk": "", "sent:beans": "0"}.items()
    assert figures(person, "milk") == (10, 4, 6)


def test_a_reservation_that_is_not_there(person: Person) -> None:
    person.sign_in()
    for reservation_id in ("0190a1b2-0000-7000-8000-000000000001", "x", "a%2Fb", "é", "0" * 500):
        answer = person.client.get(f"/reservations/{reservation_id}")
        assert answer.status_code in {400, 404}
    csrf = form_fields(person.open(NEW).first("form"))["csrf"]
    key = "page-" + "a" * 24
    for act, status in (("confirm", 404), ("release", 404), ("", 404)):
        answer = person.client.post("/reservations/x", data={"csrf": csrf, "key": key, "act": act})
        assert answer.status_code == status
    for odd in ("done=x", "done=%E2%80%8B", "q=%F0%9F%A5%9B", "item=%E2%80%8B&before=%20x", f"q={'9' * 500}"):
        assert person.open(f"/reservations?{odd}").first("h1").text == "Reservations"


# Who looks, and where


def test_a_viewer_sees_all_and_has_no_form(person: Person) -> None:
    reservation_id = reserved_elsewhere(person, "A-1", {"milk": 4}, source="webshop")
    person.sign_in(Role.VIEWER)
    page = person.open("/reservations")
    assert tables(page)[0][0][:2] == ["A-1from webshop", "4 l Whole milk"]
    assert "may look, and reserve nothing" in page.text
    for path in ("/reservations", NEW, f"/reservations/{reservation_id}"):
        page = person.open(path)
        assert {each["action"] for each in page.all("form")} <= {"/sign-out", "/reservations"}
        assert "Change the order" not in page.text
    csrf = form_fields(page.first("form"))["csrf"]
    before = person.events()
    for path in (NEW, f"/reservations/{reservation_id}"):
        answer = person.client.post(path, data={"csrf": csrf, "key": "page-" + "a" * 24, "act": "release"})
        assert answer.status_code == 403
    assert person.events() == before


def test_the_list_has_what_expires_first_in_front_and_is_found_by_order_and_item(person: Person) -> None:
    person.sign_in()
    post(person, "/v1/events", {"type": "PURCHASE_RECEIVED", "item_id": "milk", "quantity": 90})
    reserved_elsewhere(person, "late", {"milk": 1}, expires_in=86_400)
    reserved_elsewhere(person, "soon", {"milk": 1, "beans": 1}, expires_in=60)
    reserved_elsewhere(person, HOSTILE, {'a&b"c': 1}, expires_in=3_600)
    ended = [reserved_elsewhere(person, f"gone-{number}", {"milk": 1}) for number in range(30)]
    for reservation_id in ended:
        post(person, f"/v1/reservations/{reservation_id}/release", {})
    page = person.open("/reservations")
    active, gone = tables(page)
    assert [row[0] for row in active] == ["soonfrom api", f"{HOSTILE}from api", "latefrom api"]
    assert [row[0] for row in gone] == [f"gone-{number}from api" for number in range(29, 4, -1)]
    older = next(each for each in page.all("a") if each.text == "Older")
    (gone,) = tables(person.open(older["href"]))
    assert [row[0] for row in gone] == [f"gone-{number}from api" for number in range(4, -1, -1)]
    assert [row[0] for row in tables(person.open("/reservations?q=gone-7"))[1]] == ["gone-7from api"]
    assert [row[0] for row in tables(person.open("/reservations?item=Coffee+beans"))[0]] == ["soonfrom api"]
    assert tables(person.open("/reservations?q=nothing"))[0] == [["Nothing that fits is reserved."]]


def test_a_reservation_of_many_lines_is_confirmed_in_full(person: Person) -> None:
    person.sign_in()
    many = {f"item-{number}": 1.0 for number in range(45)}
    person.node.writer.submit(PutItems(tuple(Item(item_id=each, name=each, unit="pcs") for each in many))).result(20)
    for item_id in many:
        post(person, "/v1/events", {"type": "PURCHASE_RECEIVED", "item_id": item_id, "quantity": 1})
    reservation_id = reserved_elsewhere(person, "big", many)
    page = person.open(f"/reservations/{reservation_id}")
    assert "All 45 open lines leave the stock." in page.text
    assert "Change the order" not in page.text, "it has too many lines for the form"
    assert end(person, "confirm").first("h2").text == "Order big from api: confirmed"
    assert figures(person, "item-44") == (0, 0, 0)


def test_the_stock_page_has_on_hand_reserved_available_and_says_what_is_low_and_short(person: Person) -> None:
    person.sign_in()
    reserve(person, "A", ("milk", "4"), ("beans", "8"))
    by_name = {row[0]: row[2:6] for row in rows(person.open("/stock").first("table"))}
    assert by_name["Whole milkmilk"] == ["10", "4 of Whole milk reserved", "6", ""]
    assert by_name["Coffee beansbeans"][1:] == ["8 of Coffee beans reserved", "2", "low: at or below its reorder level"]
    assert [row[0] for row in rows(person.open("/stock?show=low").first("table"))] == ["Coffee beansbeans"]
    page = person.record("deduction", item="milk", quantity="7")
    assert "On hand now: 3 l, reserved 4, available \N{MINUS SIGN}1. short: more promised than there is" in page.text
    (short,) = (row for row in rows(person.open("/stock?show=look").first("table")) if row[0].startswith("Whole"))
    assert short[2:6] == ["3", "4 of Whole milk reserved", "\N{MINUS SIGN}1", "short: more promised than there is"]
    link = next(each for each in person.look().all("a") if each.text == "4 of Whole milk reserved")
    assert [row[0] for row in tables(person.open(link["href"]))[0]] == ["A"]


# Sessions and answers that are lost


def test_what_was_typed_survives_a_session_that_ended(person: Person) -> None:
    person.sign_in()
    person.open(NEW)
    typed = person.last
    lines = {"item-1": "milk", "quantity-1": "2", "item-7": "beans", "quantity-7": "1"}
    for expected in ("recorded", "known"):
        person.client.cookies.clear()
        person.last = typed
        person.send(NEW, order="A", expires="3600", **lines)
        page = person.send("/sign-in", key=person.keys[Role.STAFF])
        if expected == "recorded":
            assert (page.by_id("quantity-7")["value"], page.by_id("order")["value"]) == ("1", "A")
            page = person.send(NEW)
        assert page.first("h2").text == "Order A: reserved"
    page = person.open(address(person))
    sent = form(page, "confirm") | {"sent:milk": "", "rest": "keep"}
    path = person.last.url.path
    for expected in ("recorded", "known"):
        person.client.cookies.clear()
        person.last = person.client.post(path, data=sent)
        page = person.send("/sign-in", key=person.keys[Role.STAFF])
        if expected == "recorded":
            assert form(page, "confirm").items() >= {"sent:milk": "", "sent:beans": "1", "rest": "keep"}.items()
            page = end(person, "confirm")
        assert page.first("h2").text == "Order A: reserved"
    assert figures(person, "beans") == (9, 0, 9)
    assert figures(person, "milk") == (10, 2, 8)


def test_a_refused_form_whose_session_ended_is_told_that_it_was_refused(person: Person) -> None:
    person.sign_in()
    person.open(NEW)
    typed = person.last
    person.send(NEW, order="A", **{"item-1": "milk", "quantity-1": "99"})
    before = person.events()
    person.client.cookies.clear()
    person.last = typed
    person.send(NEW, order="A", **{"item-1": "milk", "quantity-1": "99"})
    page = person.send("/sign-in", key=person.keys[Role.STAFF])
    assert "Nothing was reserved: not everything was available." in page.text
    assert page.by_id("quantity-1")["value"] == "99"
    assert person.events() == before
    assert "Order A: reserved" in person.send(NEW, **{"quantity-1": "9"}).text


def test_a_form_in_doubt_comes_back_with_its_key(person: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    person.sign_in()
    person.open(NEW)
    submit = Writer.submit

    def lost(writer: Writer, command: Any) -> Any:
        submit(writer, command).result(20)
        raise DATABASE_BUSY("the answer is lost", recorded=Recorded.UNKNOWN)

    monkeypatch.setattr(Writer, "submit", lost)
    page = person.send(NEW, order="A", **{"item-1": "milk", "quantity-1": "2"})
    assert page.first("h1").text == "It is not known whether this was recorded"
    monkeypatch.setattr(Writer, "submit", submit)
    assert person.send(NEW).first("h2").text == "Order A: reserved"
    assert len(reservations(person)) == 1
