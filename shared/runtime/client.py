"""Synchronous HTTP client for another Larder service: one ``ServiceClient`` per thread.

A request ends in an answer, ``RemoteProblem`` (the service rejected it, with a reason) or ``Unreachable`` (the outcome
is unknown: it may or may not have taken effect). Requests are retried only with ``tries``, as only the caller knows
whether its request may be sent twice. A rejection after a try without an answer leaves the outcome unknown as well:
``RemoteProblem.may_be_recorded``.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Final, Self

import httpx

from shared.runtime.problems import Recorded, recorded_by_default
from shared.runtime.retry import retrying

CONNECT_SECONDS: Final = 5.0
MAX_ANSWER: Final = 64 * 1024 * 1024
_LONGEST_HINT: Final = 2_000
_MAX_PROBLEM: Final = 64 * 1024


class Unreachable(Exception):
    """No answer: not connected, cut off, too slow, or not from a Larder service. The request's outcome is unknown."""


class RemoteProblem(Exception):
    """A problem that the service answered. ``extras`` holds the members that have no attribute of their own.

    ``recorded``: what the service says of this try, None where it says nothing. ``may_be_recorded``: whether this try
    or an earlier one of the same request may have been recorded although no answer says so.
    """

    def __init__(
        self,
        status: int,
        code: str,
        *,
        title: str = "",
        detail: str = "",
        hint: str = "",
        recorded: str | None = None,
        extras: Mapping[str, Any],
    ) -> None:
        super().__init__(f"{status} {code}: {detail or title}")
        self.status = status
        self.code = code
        self.title = title
        self.detail = detail
        self.hint = hint
        self.recorded = recorded
        self.may_be_recorded = False
        self.extras = dict(extras)

    @property
    def temporary(self) -> bool:
        """Whether the same request may succeed later without any change."""
        return self.status in {429, 502, 503, 504, 507}


class ServiceClient:
    """An ``httpx.Client`` for one service at ``base_url``, with its key.

    ``transport`` carries the requests (the simulation gives its own). ``timeout`` is the seconds between bytes; a long
    poll gives its seconds as ``wait``, which are added. ``sleep`` is used between tries.
    """

    def __init__(
        self,
        base_url: str,
        *,
        key: str | None = None,
        timeout: float = 10.0,
        max_answer: int = MAX_ANSWER,
        transport: httpx.BaseTransport | None = None,
        user_agent: str = "larder",
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        headers = {"User-Agent": user_agent, "Accept": "application/json", "Accept-Encoding": "identity"}
        if key:
            headers["Authorization"] = f"Bearer {key}"
        self.base_url = base_url.rstrip("/")
        self._timeout = timeout
        self._max_answer = max_answer
        self._sleep = sleep
        self._http = httpx.Client(
            base_url=self.base_url,
            headers=headers,
            transport=transport,
            # A redirect would carry the key elsewhere; proxies of the environment are not used without a setting.
            follow_redirects=False,
            trust_env=False,
            limits=httpx.Limits(max_connections=4, max_keepalive_connections=4, keepalive_expiry=60.0),
        )

    def request(
        self,
        method: str,
        path: str,
        *,
        json_body: Any = None,
        content: bytes | None = None,
        params: Mapping[str, str | int | float | bool | None] | None = None,
        headers: Mapping[str, str] | None = None,
        wait: float = 0.0,
        tries: int = 1,
    ) -> Answer:
        """One request, or up to ``tries`` of the same. Raises RemoteProblem or Unreachable."""

        timeout = httpx.Timeout(self._timeout, connect=CONNECT_SECONDS, read=self._timeout + wait)
        may_be_recorded = False

        def once() -> Answer:
            nonlocal may_be_recorded
            request = self._http.build_request(
                method, path, json=json_body, content=content, params=params, headers=headers, timeout=timeout
            )
            try:
                return self._send(request)
            except Unreachable:
                may_be_recorded = method != "GET"
                raise
            except RemoteProblem as problem:
                may_be_recorded = may_be_recorded or (method != "GET" and _uncertain(problem))
                problem.may_be_recorded = may_be_recorded and problem.recorded != Recorded.YES
                raise

        if tries == 1:
            return once()
        return retrying(_worth_another_try, tries=tries, sleep=self._sleep)(once)

    def get(self, path: str, *, wait: float = 0.0, tries: int = 1, **params: str | int | float | bool | None) -> Any:
        """The JSON of a GET; ``params`` that are None are left out."""
        given = {name: value for name, value in params.items() if value is not None}
        return self.request("GET", path, params=given, wait=wait, tries=tries).json()

    def post(
        self, path: str, body: Any, *, idempotency_key: str | None = None, wait: float = 0.0, tries: int = 1
    ) -> Any:
        """The JSON answer to a POST of JSON. With an idempotency key it may safely be tried more than once."""
        headers = {} if idempotency_key is None else {"Idempotency-Key": idempotency_key}
        return self.request("POST", path, json_body=body, headers=headers, wait=wait, tries=tries).json()

    def put(self, path: str, body: Any, *, tries: int = 1) -> Any:
        """The JSON answer to a PUT of JSON."""
        return self.request("PUT", path, json_body=body, tries=tries).json()

    def close(self) -> None:
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _send(self, request: httpx.Request) -> Answer:
        try:
            response = self._http.send(request, stream=True)
            try:
                body = self._read(response)
            finally:
                response.close()
        except (httpx.TransportError, httpx.DecodingError) as error:
            raise Unreachable(f"{self.base_url}: {type(error).__name__} {error}") from error
        if response.is_success:
            return Answer(response.status_code, response.headers, body)
        raise _remote_problem(response.status_code, response.headers, body)

    def _read(self, response: httpx.Response) -> bytes:
        if response.headers.get("content-encoding", "identity") != "identity":
            # Not requested; and a small compressed answer may expand to any size.
            raise Unreachable(f"{self.base_url}: the answer is compressed, so not from a Larder service")
        parts: list[bytes] = []
        size = 0
        for part in response.iter_bytes():
            size += len(part)
            if size > self._max_answer:
                raise Unreachable(f"{self.base_url}: the answer has more than {self._max_answer} bytes")
            parts.append(part)
        return b"".join(parts)


class Answer:
    """A 2xx answer, read completely."""

    __slots__ = ("body", "headers", "status")

    def __init__(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body = body

    def json(self) -> Any:
        """The body as JSON; None where it is empty. Raises Unreachable where it is no JSON (a proxy's page)."""
        if not self.body:
            return None
        try:
            return json.loads(self.body)
        except ValueError as error:
            raise Unreachable("the answer is not JSON, so not from a Larder service") from error


def _uncertain(problem: RemoteProblem) -> bool:
    """Whether the answer leaves open if its request was recorded. A service of an older version does not say."""
    return (problem.recorded or recorded_by_default(problem.status)) not in (Recorded.NO, Recorded.YES)


def _worth_another_try(error: BaseException) -> bool:
    return isinstance(error, Unreachable) or (isinstance(error, RemoteProblem) and error.temporary)


def _remote_problem(status: int, headers: Mapping[str, str], body: bytes) -> Exception:
    try:
        found = json.loads(body[:_MAX_PROBLEM])
    except ValueError:
        found = None
    if not isinstance(found, dict) or not isinstance(found.get("code"), str):
        # A gateway's own error page does not describe the request; a Larder service sends a code.
        return Unreachable(f"the answer {status} is not from a Larder service")
    text = {name: str(found.pop(name, ""))[:_LONGEST_HINT] for name in ("code", "title", "detail", "hint")}
    recorded = found.pop("recorded", None)
    found.pop("type", None)
    found.pop("status", None)
    if "retry-after" in headers:
        found.setdefault("retry_after", headers["retry-after"])
    return RemoteProblem(
        status,
        text["code"],
        title=text["title"],
        detail=text["detail"],
        hint=text["hint"],
        recorded=str(recorded) if recorded is not None else None,
        extras=found,
    )
