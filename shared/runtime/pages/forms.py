"""Strict parsing of a browser's form: a few short fields, each once, in UTF-8."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final
from urllib.parse import parse_qsl, urlencode

from starlette.requests import Request

from shared.runtime.http.middleware import SMALL_BODY
from shared.runtime.problems import BAD_REQUEST, CSRF_FAILED, UNSUPPORTED_MEDIA_TYPE

MAX_FIELDS: Final = 50
MEDIA_TYPE: Final = "application/x-www-form-urlencoded"
CSRF_FIELD: Final = "csrf"


class Form(Mapping[str, str]):
    """The fields of a form, stripped of blanks. A field that was not sent is an empty text."""

    def __init__(self, fields: Mapping[str, str]) -> None:
        self._fields = {name: text.strip() for name, text in fields.items()}

    def __getitem__(self, name: str) -> str:
        return self._fields.get(name, "")

    def __iter__(self) -> Iterator[str]:
        return iter(self._fields)

    def __len__(self) -> int:
        return len(self._fields)

    def query(self) -> str:
        """The fields as a query, without the token that belongs to the session."""
        return urlencode({name: text for name, text in self._fields.items() if name != CSRF_FIELD and text})


def parse_form(raw: bytes, most_fields: int = MAX_FIELDS) -> Form:
    """Read a form's body of at most `most_fields` fields. Raises 400 `bad-request`."""
    try:
        pairs = parse_qsl(
            raw.decode("ascii"), keep_blank_values=True, encoding="utf-8", errors="strict", max_num_fields=most_fields
        )
    except ValueError as error:
        raise BAD_REQUEST("the form cannot be read", hint="Load the page again and send its form.") from error
    fields = dict(pairs)
    if len(fields) != len(pairs) or any("\0" in text for pair in pairs for text in pair):
        raise BAD_REQUEST("a field stands twice or holds U+0000", hint="Load the page again and send its form.")
    return Form(fields)


def is_small(request: Request) -> bool:
    """Whether at most SMALL_BODY bytes of body are announced: then they are read before the session is known."""
    announced = request.headers.get("content-length", "")
    return announced.isdigit() and int(announced) <= SMALL_BODY and "transfer-encoding" not in request.headers


def check_origin(request: Request) -> None:
    """Raise 403 `csrf-failed` for a form of another site (by `Sec-Fetch-Site`)."""
    # Other ports of a host are the same site to a browser, and so share its SameSite cookies.
    if request.headers.get("sec-fetch-site", "same-origin") not in {"same-origin", "none"}:
        raise CSRF_FAILED("another site sent this form")


async def read_form(request: Request, most_fields: int = MAX_FIELDS) -> Form:
    """The form of a POST, with at most `most_fields` fields.

    Raises 403 `csrf-failed` for a form of another site, 400, 415.
    """
    check_origin(request)
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != MEDIA_TYPE:
        raise UNSUPPORTED_MEDIA_TYPE(f"a form is sent as {MEDIA_TYPE}")
    return parse_form(await request.body(), most_fields)
