"""A proxy between a client and a service that loses or replaces the answers to POSTs, as its list of faults says."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from enum import StrEnum
from http.server import BaseHTTPRequestHandler
from typing import Any

import httpx
from hypothesis import strategies as st

from tests.support.http_servers import http_server, send


class Fault(StrEnum):
    """What happens to one POST."""

    NOT_SENT = "lost on its way"
    ANSWER_LOST = "the answer is lost"
    BUSY = "not sent on, answered 503 and recorded: no"
    DOUBT = "answered 503 and recorded: unknown in place of the answer"
    GATEWAY = "a gateway's error page in place of the answer"
    TOO_MANY = "not sent on, answered 429 and recorded: no"


FAULTS = st.lists(st.sampled_from(Fault), min_size=1, max_size=7)
_PASSED_ON = frozenset({"authorization", "content-type", "idempotency-key", "cookie", "accept", "sec-fetch-site"})
_NOT_SENT_ON = frozenset({Fault.NOT_SENT, Fault.BUSY, Fault.TOO_MANY})
_PROBLEMS: dict[Fault, dict[str, Any]] = {
    Fault.BUSY: {"status": 503, "code": "busy", "title": "Busy", "recorded": "no"},
    Fault.DOUBT: {"status": 503, "code": "database-unavailable", "title": "Away", "recorded": "unknown"},
    Fault.TOO_MANY: {"status": 429, "code": "too-many-attempts", "title": "Too many", "recorded": "no"},
}


class LossyProxy:
    """Serves at `url`; each POST takes the next of `faults` with it, and passes once there are none left."""

    def __init__(self, target: str) -> None:
        self.faults: list[Fault] = []
        self.url = ""
        self._http = httpx.Client(base_url=target, trust_env=False, follow_redirects=False, timeout=30)
        self._lock = threading.Lock()

    def plan(self, faults: Sequence[Fault]) -> None:
        """The faults of the next POSTs."""
        with self._lock:
            self.faults = list(faults)

    def answer(self, handler: BaseHTTPRequestHandler, body: bytes) -> None:
        with self._lock:
            fault = self.faults.pop(0) if handler.command == "POST" and self.faults else None
        answer: httpx.Response | None = None
        if fault not in _NOT_SENT_ON:
            headers = {name: value for name, value in handler.headers.items() if name.lower() in _PASSED_ON}
            answer = self._http.request(handler.command, handler.path, headers=headers, content=body)
        if fault in (Fault.NOT_SENT, Fault.ANSWER_LOST):
            handler.close_connection = True
            return
        if fault is Fault.GATEWAY:
            send(handler, 502, {"content-type": "text/html"}, b"<h1>Bad gateway</h1>")
        elif fault is not None:
            problem = _PROBLEMS[fault]
            content = json.dumps(problem).encode()
            send(handler, problem["status"], {"content-type": "application/problem+json"}, content)
        else:
            assert answer is not None
            kept = {n: v for n, v in answer.headers.items() if n in {"content-type", "location", "set-cookie"}}
            send(handler, answer.status_code, kept, answer.content)


@contextmanager
def lossy_proxy(target: str) -> Iterator[LossyProxy]:
    """A proxy to the service at `target`, for the length of the `with`."""
    proxy = LossyProxy(target)
    with http_server(proxy.answer) as proxy.url:
        yield proxy
