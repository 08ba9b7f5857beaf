"""The branch's pages over a real node, in this process and without a head office."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

import pytest
from sqlalchemy import update

from branch_node.commands.count_inputs import CountInput, count_of
from branch_node.commands.counts import RecordCount
from branch_node.commands.event_commands import RecordEvent
from branch_node.commands.event_inputs import EventInput, entry_of
from branch_node.database.schema import API_KEY
from branch_node.model import Item
from branch_node.sync.shipping_status import ShippingState
from branch_node.writer.writer import Writer
from shared.chain import Head
from shared.runtime.http.scopes import Role
from shared.runtime.problems import DATABASE_UNAVAILABLE
from tests.support.branch import PutItems, read
from tests.support.branch_person import Person, somebody
from tests.support.html import form_fields, parse, rows
from tests.support.statements import behind_every_statement
from tests.support.waiting import wait_until

HOSTILE = "<script>alert('x')</script> & \"sons\""
LONG = "Very long name " * 60
ITEMS = (
    Item(item_id="milk", name="Whole milk", unit="l", category="Dairy"),
    Item(item_id="beans", name="Coffee beans", unit="kg"),
    Item(item_id="gin", name="Gin", unit="l", strict=True),
    Item(item_id="hostile", name=HOSTILE, unit="pcs"),
    Item(item_id="halloumi", name="حلوم بلدي", unit="kg"),
    Item(item_id="long", name=LONG.strip(), unit="kg"),
    Item(item_id='a&b"c', name="Odd code", unit="pcs"),
)


@pytest.fixture
def person(tmp_path: Path) -> Iterator[Person]:
    with somebody(tmp_path, ITEMS) as found:
        yield found


# Signing in


def test_nobody_sees_anything_without_a_key(person: Person) -> None:
    for address in ("/", "/record/waste", "/stock", "/log", "/void/0190a1b2-0000-7000-8000-000000000001"):
        page = person.open(address)
        assert page.first("h1").text == "Sign in"
        assert "Whole milk" not in person.last.text
    assert person.client.post("/record/waste", data={"item": "milk"}).url.path == "/sign-in"


def test_a_wrong_key_is_told_beside_the_field(person: Person) -> None:
    person.open("/stock")
    page = person.send("/sign-in", key="lk_wrong")
    assert person.last.status_code == 401
    assert page.by_id("key-error").text == "No valid key: the key is unknown or was revoked."
    assert page.by_id("key")["aria-describedby"] == "key-hint key-error"


@pytest.mark.parametrize("role", [Role.BRANCH, Role.COORDINATOR])
def test_a_machines_key_is_not_for_pages(person: Person, role: Role) -> None:
    assert person.sign_in(role).first("h1").text == "Sign in"
    assert person.last.status_code == 403
    assert person.open("/stock").first("h1").text == "Sign in"


def test_after_signing_in_one_goes_on_where_one_wanted_to(person: Person) -> None:
    person.open("/stock?q=milk")
    page = person.send("/sign-in", key=person.keys[Role.STAFF])
    assert page.first("h1").text == "Stock"
    assert page.by_id("q")["value"] == "milk"


@pytest.mark.parametrize("elsewhere", ["//evil.example", "https://evil.example", "/\\evil.example", "javascript:x", ""])
def test_signing_in_leads_nowhere_else(person: Person, elsewhere: str) -> None:
    person.open("/")
    answer = person.client.post(
        "/sign-in", data={"key": person.keys[Role.STAFF], "next": elsewhere}, follow_redirects=False
    )
    assert (answer.status_code, answer.headers["location"]) == (303, "/")


def test_the_session_is_safe_from_scripts_and_other_sites_and_ends(person: Person) -> None:
    person.open("/")
    answer = person.client.post("/sign-in", data={"key": person.keys[Role.STAFF]}, follow_redirects=False)
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert person.keys[Role.STAFF] not in cookie
    person.open("/stock")
    assert person.send("/sign-out").first("h1").text == "Sign in"
    assert person.open("/stock").first("h1").text == "Sign in"


def test_a_revoked_key_ends_its_sessions(person: Person) -> None:
    person.sign_in(Role.STAFF)
    engine = person.node.store.writing_engine()
    with engine.begin() as connection:
        connection.execute(update(API_KEY).values(revoked_at=1))
    engine.dispose()
    person.node.authenticator.invalidate()
    assert person.open("/stock").first("h1").text == "Sign in"


# Recording


def test_each_of_the_four_is_recorded_and_told(person: Person) -> None:
    person.sign_in(Role.STAFF)
    page = person.record("delivery", item="milk", quantity="48")
    assert person.last.url.path == "/record/delivery"
    assert page.first("h2").text == "Recorded: 48 l of Whole milk"
    page = person.record("deduction", item="Whole Milk", quantity="3.25", note="two trays")
    assert "On hand now: 44.75 l." in page.text
    assert "Note: two trays" in page.text
    page = person.record("waste", item="milk", quantity="1,5", reason="spoiled")
    assert "On hand now: 43.25 l." in page.text
    assert "Waste recorded, spoiled" in page.text
    page = person.record("count", item="milk", quantity="40")
    assert "On hand now: 40 l." in page.text
    assert "The book said 43.25: variance \N{MINUS SIGN}3.25." in page.text
    assert rows(person.open("/stock?q=whole").first("table"))[0][:5] == ["Whole milkmilk", "l", "40", "0", "40"]
    assert person.events() == 4


def test_the_key_of_whoever_is_signed_in_is_the_actor(person: Person) -> None:
    person.sign_in(Role.STAFF)
    person.record("delivery", item="milk", quantity="1")
    answer = person.client.get("/v1/events", headers={"Authorization": f"Bearer {person.keys[Role.MANAGER]}"}).json()
    (event,) = answer["items"]
    assert event["actor"] == person.keys[Role.STAFF].split("_")[1]
    assert event["source"] == "page"


def test_a_form_sent_twice_counts_once_and_says_the_same(person: Person) -> None:
    person.sign_in()
    person.open("/record/delivery")
    fields = form_fields(next(each for each in parse(person.last.text).all("form") if each["action"] != "/sign-out"))
    sent = {**fields, "item": "milk", "quantity": "12"}
    answers = [person.client.post("/record/delivery", data=sent) for _ in range(3)]
    assert len({str(answer.url) for answer in answers}) == 1
    assert all('On hand now: <strong><data value="12">12</data> l' in answer.text for answer in answers)
    assert person.events() == 1


def test_a_reload_of_the_confirmation_records_nothing(person: Person) -> None:
    person.sign_in()
    person.record("delivery", item="milk", quantity="12")
    address = str(person.last.url)
    assert person.open(address).first("h2").text == "Recorded: 12 l of Whole milk"
    assert person.events() == 1


def test_a_form_that_recorded_something_else_is_asked_about(person: Person) -> None:
    person.sign_in()
    person.open("/record/delivery")
    before = person.last
    person.send("/record/delivery", item="milk", quantity="12")
    person.last = before
    page = person.send("/record/delivery", item="milk", quantity="13")
    assert person.last.status_code == 409
    assert "recorded something else before" in page.text
    assert page.by_id("quantity")["value"] == "13"
    assert person.events() == 1
    person.send("/record/delivery")
    assert "On hand now: 25 l." in person.look().text


def test_what_is_wrong_is_told_beside_its_field_and_what_was_typed_is_kept(person: Person) -> None:
    person.sign_in()
    page = person.record("waste", item="milk", quantity="1.2345", reason="broken", note="a <b>note</b>", unit="l")
    assert person.last.status_code == 422
    assert page.by_id("quantity-error").text.startswith("4 decimals; at most 3 are kept. Write it like 12")
    assert page.by_id("quantity").attributes.items() >= {"aria-invalid": "true", "value": "1.2345"}.items()
    assert "autofocus" in page.by_id("quantity").attributes
    assert page.by_id("note")["value"] == "a <b>note</b>"
    form = next(each for each in page.all("form") if each["action"] == "/record/waste")
    assert form_fields(form).items() >= {"reason": "broken", "unit": "l", "item": "milk"}.items()
    assert person.events() == 0
    assert "On hand now" in person.send("/record/waste", quantity="1").text
    assert person.events() == 1


def test_an_item_that_is_not_there_is_answered_with_those_nearest(person: Person) -> None:
    person.sign_in()
    page = person.record("delivery", item="milc", quantity="7")
    assert page.by_id("item-error").text.startswith("There is no item “milc” here.")
    link = page.by_id("nearest").first("a")
    assert link.text == "Whole milk"
    page = person.open(link["href"])
    assert (page.by_id("item")["value"], page.by_id("quantity")["value"]) == ("milk", "7")


def test_another_unit_is_refused(person: Person) -> None:
    person.sign_in()
    page = person.record("delivery", item="beans", quantity="500", unit="l")
    assert page.by_id("unit-error").text.startswith("Beans is kept in kg, not in l.")


def test_a_strict_item_does_not_go_below_zero(person: Person) -> None:
    person.sign_in()
    page = person.record("deduction", item="gin", quantity="1")
    assert person.last.status_code == 409
    assert "Record the delivery or count that is missing first" in page.by_id("quantity-error").text
    assert person.events() == 0


def test_what_happened_earlier_is_recorded_in_its_place(person: Person) -> None:
    person.sign_in()
    person.record("count", item="milk", quantity="10", when="2026-03-01T12:00")
    page = person.record("deduction", item="milk", quantity="4", when="2026-03-01T11:00")
    assert "On hand now: 10 l." in page.text
    page = person.record("delivery", item="milk", quantity="1", when="2199-01-01T00:00")
    assert "is ahead of this node's" in page.by_id("when-error").text
    assert person.events() == 2


def test_the_book_may_be_below_zero_and_says_so_in_words(person: Person) -> None:
    person.sign_in()
    assert "below zero" in person.record("deduction", item="beans", quantity="2").text
    page = person.open("/stock?show=look")
    assert rows(page.first("table")) == [
        [
            "Coffee beansbeans",
            "kg",
            "\N{MINUS SIGN}2",
            "0",
            "\N{MINUS SIGN}2",
            "below zero",
            "never",
            "Record Coffee beans",
        ]
    ]


def test_staff_may_record_and_viewers_may_look(person: Person) -> None:
    assert person.sign_in(Role.VIEWER).first("h1").text == "Stock"
    page = person.open("/record/waste")
    assert "may look, and record nothing" in page.text
    csrf = form_fields(page.first("form"))["csrf"]
    answer = person.client.post("/record/delivery", data={"csrf": csrf, "item": "milk", "quantity": "1"})
    assert answer.status_code == 403
    assert person.events() == 0


def test_purchasing_may_record_deliveries(person: Person) -> None:
    assert person.sign_in(Role.PURCHASING).first("h1").text == "Record"
    assert person.last.url.path == "/record/delivery"
    page = person.open("/stock")
    links = {each["href"].partition("?")[0] for each in page.all("a") if "?item=" in each["href"]}
    assert links == {"/record/delivery"}
    assert "Recorded" in person.record("delivery", item="milk", quantity="1").text
    page = person.open("/record/waste")
    assert "may not record this" in page.text
    csrf = form_fields(page.first("form"))["csrf"]
    fields = {"csrf": csrf, "key": "page-" + "x" * 24, "item": "milk", "quantity": "1", "reason": "expired"}
    assert person.client.post("/record/waste", data=fields).status_code == 403
    assert person.events() == 1


# Forms of others


def test_a_form_without_the_sessions_token_is_refused(person: Person) -> None:
    person.sign_in()
    fields = form_fields(next(each for each in parse(person.last.text).all("form") if each["action"] != "/sign-out"))
    for csrf in ("", "x" * 43):
        answer = person.client.post("/record/deduction", data={**fields, "csrf": csrf, "item": "milk", "quantity": "1"})
        assert answer.status_code == 403
    fields |= {"item": "milk", "quantity": "1"}
    for site in ("cross-site", "same-site"):
        answer = person.client.post("/record/deduction", data=fields, headers={"Sec-Fetch-Site": site})
        assert answer.status_code == 403
    assert person.events() == 0


@pytest.mark.parametrize("key", ["", "transfer:t-1:out", "larder:x", "page-short", "page-" + "\u0663" * 24])
def test_a_form_without_a_key_of_ours_is_refused(person: Person, key: str) -> None:
    person.sign_in()
    page = person.open("/record/delivery")
    page = person.send("/record/delivery", item="milk", quantity="1", key=key)
    assert person.last.status_code == 400
    assert "no key of this page" in page.text
    assert person.events() == 0


@pytest.mark.parametrize(
    "body", [b"item=%ff", b"item=\xff", b"item=a&item=b", b"item=%00", b"&".join(b"f%d=1" % n for n in range(60)), b""]
)
def test_a_form_that_no_browser_sends_is_refused(person: Person, body: bytes) -> None:
    person.sign_in()
    answer = person.client.post(
        "/record/delivery", content=body, headers={"Content-Type": "application/x-www-form-urlencoded"}
    )
    assert answer.status_code in {400, 403}
    assert person.events() == 0


def test_what_was_typed_survives_a_session_that_ended(person: Person) -> None:
    person.sign_in()
    person.open("/record/waste")
    typed = person.last
    person.client.cookies.clear()
    page = person.send("/record/waste", item="milk", quantity="2", reason="broken", note="as it was")
    assert page.first("h1").text == "Sign in"
    page = person.send("/sign-in", key=person.keys[Role.STAFF])
    assert page.by_id("note")["value"] == "as it was"
    page = person.send("/record/waste")
    assert page.first("h2").text == "Recorded: 2 l of Whole milk"
    # The same form once more, from a tab that was left open: it is known what became of it.
    person.client.cookies.clear()
    person.last = typed
    person.send("/record/waste", item="milk", quantity="2", reason="broken", note="as it was")
    page = person.send("/sign-in", key=person.keys[Role.STAFF])
    assert page.first("h2").text == "Recorded: 2 l of Whole milk"
    assert person.events() == 1


# Correcting


def test_a_manager_voids_a_mistake(person: Person) -> None:
    person.sign_in()
    page = person.record("delivery", item="milk", quantity="480")
    link = next(each for each in page.all("a") if each.text == "A mistake? Void it")
    action = link["href"]
    person.open(action)
    page = person.send(action)
    assert person.last.status_code == 422
    assert page.by_id("reason-error").text.startswith("Why is it voided?")
    page = person.send(action, reason="mistake", note="one zero too many")
    assert page.first("h2").text == "Voided: 480 l of Whole milk"
    assert "On hand now: 0 l." in page.text
    assert "Event 2 voids it already." in person.open(action).text
    last = rows(person.open("/log").first("table"))
    assert last[0][1] == "Whole milkEvent voided (1), mistake: one zero too many"
    assert "voided by event 2" in last[1][1]
    assert person.events() == 2


def test_a_void_sent_twice_is_one(person: Person) -> None:
    person.sign_in()
    action = next(
        each["href"] for each in person.record("delivery", item="milk", quantity="1").all("a") if "Void" in each.text
    )
    person.open(action)
    before = person.last
    person.send(action, reason="mistake")
    person.last = before
    assert person.send(action, reason="mistake").first("h2").text == "Voided: 1 l of Whole milk"
    person.open(action)
    assert person.events() == 2


def produce(person: Person) -> list[str]:
    """Record a production of beans from milk; the addresses on which its two events are voided."""
    body = {
        "type": "PRODUCTION_MADE",
        "item_id": "beans",
        "quantity": 1,
        "used": [{"item_id": "milk", "quantity": 20}],
    }
    answer = person.client.post(
        "/v1/events", json=body, headers={"Authorization": f"Bearer {person.keys[Role.MANAGER]}"}
    ).json()
    return [f"/void/{each['event_id']}" for each in (answer, *answer["used"])]


def test_a_production_is_voided_whole_unless_one_event_is_chosen(person: Person) -> None:
    person.sign_in()
    made, _ = produce(person)
    assert "All of it, 2 events" in person.open(made).text
    page = person.send(made, reason="mistake")
    assert page.first("h2").text == "Voided: 1 kg of Coffee beans"
    assert "Voided with it: event 2: Production used, −20 l of Whole milk" in page.text
    assert "still counts" not in page.text
    assert person.events() == 4
    made, used = produce(person)
    person.open(made)
    assert person.send(made, scope="one").by_id("reason-error").text.startswith("Why is it voided?")
    page = person.send(made, reason="mistake")
    assert "Of what was recorded with it, this still counts: event 6: Production used, −20 l of Whole milk" in page.text
    assert person.events() == 7
    assert "Event 7 voids it already. What was recorded with it still stands: event 6" in person.open(made).text
    page = person.send(made, reason="mistake")
    assert "still counts" not in page.text
    assert person.events() == 8
    assert "Event 8 voids it already." in person.open(used).text
    made, _ = produce(person)
    person.open(made)
    person.client.post(
        f"/v1/events/{made.removeprefix('/void/')}/void",
        json={"reason": "mistake"},
        headers={"Authorization": f"Bearer {person.keys[Role.MANAGER]}"},
    )
    assert "choose All of it" in person.send(made, scope="one", reason="mistake").text


def test_staff_may_not_void(person: Person) -> None:
    person.sign_in(Role.STAFF)
    page = person.record("delivery", item="milk", quantity="480")
    assert "Void" not in page.text
    event_id = parse_qs(urlsplit(str(person.last.url)).query)["done"][0]
    assert person.open(f"/void/{event_id}").first("h1").text == "This key may not do that"


def test_an_event_that_is_not_there(person: Person) -> None:
    person.sign_in()
    for event_id in ("0190a1b2-0000-7000-8000-000000000001", "x", "%00", "é", "0" * 500):
        answer = person.client.get(f"/void/{event_id}")
        assert answer.status_code in {400, 404}
        assert answer.status_code == 400 or parse(answer.text).first("h1").text == "There is no such event here"
    assert person.open("/record/deduction?done=x").first("h1").text == "Record"


def test_a_form_that_there_is_not(person: Person) -> None:
    person.sign_in()
    assert "no such form" in person.open("/record/gift").text
    assert person.last.status_code == 404


# Looking


def test_names_of_every_kind_are_shown_as_they_are(person: Person) -> None:
    person.sign_in()
    for item_id in ("hostile", "halloumi", "long", 'a&b"c'):
        person.record("delivery", item=item_id, quantity="1", note=HOSTILE)
    for address in ("/stock", "/log", "/record/waste"):
        page = person.open(address)
        assert "<script" not in person.last.text
        shown = [each.text for each in page.first("table").all("bdi")]
        assert {HOSTILE, "حلوم بلدي", LONG.strip()} <= set(shown)
    options = {option["value"]: option.text for option in page.by_id("items").all("option")}
    assert options["hostile"] == f"{HOSTILE} (pcs)"
    link = next(each for each in person.open("/stock?q=odd").all("a") if each.text == "Record Odd code")
    assert person.open(link["href"]).by_id("item")["value"] == 'a&b"c'


def test_stock_is_found_by_name_and_by_what_wants_a_look(person: Person) -> None:
    person.sign_in()
    person.record("delivery", item="milk", quantity="1")
    assert len(rows(person.open("/stock").first("table"))) == len(ITEMS)
    assert [row[0] for row in rows(person.open("/stock?q=DAIRY").first("table"))] == ["Whole milkmilk"]
    assert [row[0] for row in rows(person.open("/stock?show=there").first("table"))] == ["Whole milkmilk"]
    assert rows(person.open("/stock?q=%3Cscript%3E&show=look").first("table")) == [["No item fits."]]
    assert len(rows(person.open("/stock?show=nonsense").first("table"))) == len(ITEMS)
    local = Item(item_id="leche", name="Leche", unit="l", stands_for="milk")
    person.node.writer.submit(PutItems((local,))).result(20)
    assert len(rows(person.open("/stock").first("table"))) == len(ITEMS), "its figures are in those of milk"
    assert [row[0] for row in rows(person.open("/stock?q=dairy").first("table"))] == ["Whole milkmilkalso leche"]
    options = {each["value"]: each.text for each in person.open("/record/count").all("option")}
    assert options["leche"] == "Leche (l), stands for milk"


def test_the_log_goes_back_page_by_page(person: Person) -> None:
    person.sign_in()
    page = person.open("/log")
    assert rows(page.first("table")) == [["Nothing was recorded here yet."]]
    for count in range(60):
        person.client.post(
            "/v1/events",
            json={"type": "PURCHASE_RECEIVED", "item_id": "milk", "quantity": count + 1},
            headers={"Authorization": f"Bearer {person.keys[Role.STAFF]}"},
        )
    page = person.open("/log")
    assert [len(rows(page.first("table"))), rows(page.first("table"))[0][2]] == [50, "+60 l"]
    older = next(each for each in page.all("a") if each.text == "Older")
    page = person.open(older["href"])
    assert [row[2] for row in rows(page.first("table"))] == [f"+{count} l" for count in range(10, 0, -1)]
    newer = next(each for each in page.all("a") if each.text == "Newer")
    assert rows(person.open(newer["href"]).first("table"))[0][2] == "+60 l"
    for odd in ("0", "-1", "x", "99999999999999999999", "٣"):
        assert person.open(f"/log?before={odd}").first("h1").text == "Log and shipping"


@pytest.mark.parametrize("state", list(ShippingState))
def test_shipping_is_told_in_words(person: Person, state: ShippingState) -> None:
    person.sign_in()
    person.record("delivery", item="milk", quantity="1")
    person.record("delivery", item="milk", quantity="1")
    person.node.board.change(
        state=state,
        detail="refused <by> them",
        hint="call",
        acknowledged=Head(1, 1, bytes(32)),
        last_contact_at=person.node.clock.now() - 120_000_000,
        next_try_at=person.node.clock.now() + 60_000_000,
        head_office="https://office.example",
    )
    page = person.open("/log")
    assert state.value not in page.text.replace("Log", "")
    if state is ShippingState.NO_HEAD_OFFICE:
        assert "works by itself" in page.text
        return
    assert page.by_id("waiting").text == "1 event, 2 to 2"
    assert "2 minutes ago" in page.text
    assert "refused <by> them" in page.text
    assert "1 event waits to be shipped" in person.open("/record/waste").text


def test_without_items_the_page_says_where_they_come_from(tmp_path: Path) -> None:
    with somebody(tmp_path, ()) as person:
        person.sign_in()
        assert "larder branch items add" in person.open("/record/waste").text
        assert rows(person.open("/stock").first("table")) == [["There are no items here yet."]]


def test_pages_load_nothing_but_the_style_and_the_icon_of_this_node(person: Person) -> None:
    person.sign_in()
    person.open("/stock")
    links = {each["href"] for each in parse(person.last.text).all("link")}
    assert {re.sub(r"/static/[0-9a-f]{12}", "", link) for link in links} == {"/larder.css", "/larder.svg"}
    for link in links:
        answer = person.client.get(link)
        assert answer.status_code == 200
        assert "immutable" in answer.headers["cache-control"]
    style = next(person.client.get(link).text for link in links if link.endswith(".css"))
    assert "http" not in style
    assert "@import" not in style
    assert person.client.get("/static/x/../site.py").status_code == 404


def test_the_writer_that_is_away_is_told_and_reading_goes_on(person: Person) -> None:
    person.sign_in()
    person.open("/record/delivery")
    person.node.writer.stop()
    page = person.send("/record/delivery", item="milk", quantity="5")
    assert person.last.status_code == 503
    assert "Send the form again in a moment; it counts once." in page.text
    assert page.by_id("quantity")["value"] == "5"
    assert person.open("/stock").first("h1").text == "Stock"


# Answers in doubt


@pytest.mark.parametrize("recorded", [False, True], ids=["not recorded", "recorded"])
def test_a_form_in_doubt_comes_back_and_counts_once(
    person: Person, monkeypatch: pytest.MonkeyPatch, recorded: bool
) -> None:
    """The database goes away in COMMIT, and stays away while the page is made: the page has what was typed, and the
    same key. Sent from there again and again it counts once."""
    person.sign_in()
    person.record("delivery", item="milk", quantity="20")
    before = person.events()
    writer, store = person.node.writer, person.node.store
    connect, reading, commit = Writer._connect, store.reading, writer._writing.commit  # type: ignore[union-attr]

    def away(*_arguments: object) -> Any:
        raise DATABASE_UNAVAILABLE("the connection is lost")

    def cut() -> None:
        if recorded:
            commit()
        monkeypatch.setattr(Writer, "_connect", away)
        monkeypatch.setattr(store, "reading", away)
        error = sqlite3.OperationalError("disk I/O error")
        error.sqlite_errorcode = sqlite3.SQLITE_IOERR
        raise error

    writing = writer._writing
    monkeypatch.setattr(writing, "commit", cut)
    monkeypatch.setattr(writing, "rollback", away)
    person.open("/record/waste")
    sent = {"item": "milk", "quantity": "2.5", "reason": "spoiled", "note": "<b>fell</b>"}
    page = person.send("/record/waste", **sent)
    for _ in range(2):
        assert person.last.status_code == 503
        form = next(each for each in page.all("form") if each["action"] == "/record/waste")
        assert form_fields(form).items() >= sent.items()
        assert "as often as it takes: it is recorded once" in page.text
        assert "<b>fell</b>" in page.text
        page = person.send("/record/waste")
    monkeypatch.setattr(Writer, "_connect", connect)
    monkeypatch.setattr(store, "reading", reading)
    wait_until(lambda: bool(writer._committed), 10, what="the writer to find its database again")
    page = person.send("/record/waste")
    assert "Recorded: 2.5 l of Whole milk" in page.text
    person.client.post("/record/waste", data=form_fields(form))
    assert person.events() == before + 1


# One snapshot


def deliver(person: Person) -> None:
    """One more litre of milk is delivered."""
    given = read(EventInput, {"type": "PURCHASE_RECEIVED", "item_id": "milk", "quantity": 1})
    person.node.writer.submit(RecordEvent(entry_of(given), key=uuid4().hex, actor="till-1")).result(10)


def test_the_page_of_what_was_recorded_is_of_one_snapshot(person: Person) -> None:
    person.sign_in()
    person.record("delivery", item="milk", quantity="1")
    with behind_every_statement(lambda: deliver(person)):
        page = person.open(str(person.last.url.copy_with(scheme="", netloc=b"")))
    on_hand = re.search(r"On hand now: (\d+)", page.text)
    assert on_hand is not None
    assert int(on_hand[1]) == len(rows(page.first("table")))
    assert person.events() > int(on_hand[1])


def test_the_page_of_the_log_is_of_one_snapshot(person: Person) -> None:
    person.sign_in()
    person.record("delivery", item="milk", quantity="1")
    with behind_every_statement(lambda: deliver(person)):
        page = person.open("/log")
    last = re.search(r"Last event here\s*(\d+)", page.text)
    assert last is not None
    assert int(last[1]) == len(rows(page.first("table")))
    assert person.events() > int(last[1])


def test_a_count_that_nobody_closes_is_shown_with_its_age_and_what_is_missing(person: Person) -> None:
    def count(count_id: str, *areas: str, **more: object) -> None:
        lines = [{"item_id": "milk", "area": area, "counted": 2} for area in areas]
        given = read(CountInput, {"count_id": count_id, "lines": lines, **more})
        person.node.writer.submit(RecordCount(count_of(given), key=None, actor="k1/ann")).result(10)

    person.sign_in()
    count("c1", "fridge", "cellar")
    assert "is open" not in person.open("/log").text
    count("c2", "fridge", open=True)
    assert "A count is open." in person.open("/record/count").text
    page = person.open("/log")
    assert "Count c2 is open" in page.text
    assert "Begun just now" in page.text
    assert "Whole milk, fridge: 2 l by k1/ann" in page.text
    assert "Missing: cellar of Whole milk" in page.text
    count("c2", "cellar")
    assert "is open" not in person.open("/log").text
