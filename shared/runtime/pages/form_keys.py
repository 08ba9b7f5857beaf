"""The idempotency key of a form: made with the page, so that the form counts once however often it is sent."""

from __future__ import annotations

import re
import secrets
from typing import Final

from shared.runtime.pages.forms import Form
from shared.runtime.problems import BAD_REQUEST

_OUR_KEY: Final = re.compile(r"page-[A-Za-z0-9_-]{24}")


def with_key(form: Form, *, new: bool = False) -> Form:
    """The form with its idempotency key in the field `key`, its own or a new one."""
    if _OUR_KEY.fullmatch(form["key"]) and not new:
        return form
    return Form({**form, "key": f"page-{secrets.token_urlsafe(18)}"})


def form_key(form: Form) -> str:
    """The form's idempotency key. Raises 400 `bad-request` where it is not one of a page."""
    if not _OUR_KEY.fullmatch(form["key"]):
        raise BAD_REQUEST("the form has no key of this page", hint="Load the page again and send its form.")
    return form["key"]
