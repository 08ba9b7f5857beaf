"""Whatever becomes of the answers, what is sent until it is answered is recorded once: by the API and on the pages."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.runtime.http import running_file
from tests.integration.branch_node.cli.test_commands import Branch
from tests.support.html import form_fields, parse
from tests.support.lossy_proxy import FAULTS, Fault, LossyProxy, lossy_proxy

MOST_TRIES = 12


class Till:
    """A client of the API and a person at the pages, both behind a line that loses answers."""

    def __init__(self, branch: Branch, proxy: LossyProxy) -> None:
        self.branch = branch
        self.proxy = proxy
        self._client = httpx.Client(
            base_url=proxy.url, trust_env=False, timeout=30, headers={"sec-fetch-site": "same-origin"}
        )
        form = parse(self._client.get("/sign-in").text).first("form")
        signed_in = self._client.post("/sign-in", data={**form_fields(form), "key": branch.key})
        assert signed_in.status_code == 303, signed_in.text

    def _sent(self, path: str, **content: Any) -> httpx.Response | None:
        try:
            return self._client.post(path, **content)
        except httpx.TransportError:
            return None

    def by_api(self) -> None:
        """POST under one Idempotency-Key until it is answered with 201."""
        headers = {"Authorization": f"Bearer {self.branch.key}", "Idempotency-Key": uuid4().hex}
        body = {"type": "PURCHASE_RECEIVED", "item_id": "milk", "quantity": 7}
        for _ in range(MOST_TRIES):
            answer = self._sent("/v1/events", json=body, headers=headers)
            if answer is not None and answer.status_code == 201:
                return
        raise AssertionError("it was never answered")

    def by_page(self) -> None:
        """Fill the form and send it, and send again what the browser has, until the page says that it is recorded."""
        form = parse(self._client.get("/record/delivery").text)
        (filled,) = (each for each in form.all("form") if each["action"] == "/record/delivery")
        fields = {**form_fields(filled), "item": "milk", "quantity": "7"}
        for _ in range(MOST_TRIES):
            answer = self._sent("/record/delivery", data=fields)
            if answer is None:
                continue  # the browser's own page: "Try again" sends the same form
            if answer.status_code == 303:
                return
            again = [each for each in parse(answer.text).all("form") if each["action"] == "/record/delivery"]
            if again:
                fields = form_fields(again[0])
        raise AssertionError("the page never said that it is recorded")


@pytest.fixture
def till(tmp_path: Path) -> Iterator[Till]:
    branch = Branch(tmp_path / "node").with_milk()
    with branch.serve():
        announced = running_file.read(branch.folder)
        assert announced is not None
        with lossy_proxy(announced.url) as proxy:
            yield Till(branch, proxy)


WAYS: dict[str, Callable[[Till], None]] = {"API": Till.by_api, "page": Till.by_page}


def test_what_is_sent_until_it_is_answered_is_recorded_once(till: Till) -> None:
    @settings(max_examples=25, deadline=None)
    @given(st.lists(st.tuples(st.sampled_from(sorted(WAYS)), FAULTS), min_size=1, max_size=3))
    def once(said: list[tuple[str, list[Fault]]]) -> None:
        before = till.branch.json("stock", "milk")["on_hand"]
        for way, faults in said:
            till.proxy.plan(faults)
            WAYS[way](till)
        assert till.branch.json("stock", "milk")["on_hand"] == before + 7 * len(said)

    once()
