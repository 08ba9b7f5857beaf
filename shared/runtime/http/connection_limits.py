"""Limits on connections, before any route runs: size of request heads, timeouts, number of connections.

uvicorn has none of these limits, and answers requests that it cannot parse in plain text.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from enum import IntEnum
from functools import partial
from typing import Any, ClassVar, Final

import httptools
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from shared.runtime.http.middleware import DISCARD_BYTES, DISCARD_SECONDS, HEADERS, NO_STORE, WHOLE_ANSWER
from shared.runtime.problems import (
    BAD_REQUEST,
    HEADERS_TOO_LARGE,
    OVERLOADED,
    REQUEST_TIMEOUT,
    Problem,
    Recorded,
    problem_response,
)
from shared.runtime.telemetry import get_logger

log = get_logger("larder.connections")

# Rejected connections that are answered at the same time; further ones are closed without an answer.
MAX_REJECTED: Final = 64


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """Limits of every connection.

    ``head_bytes``: request line and headers together, as sent; for pipelined requests up to twice that. Also the most
    bytes of a chunked body's framing in a row (extensions, trailers). ``head_seconds``: from a request's first byte to
    the end of its headers. ``body_seconds``: in each such interval at least ``body_bytes`` of an unfinished body must
    arrive. ``idle_seconds``: without a request, since the connection opened or the last answer. ``connections``: the
    number of open ones. ``pipelined``: the number of complete requests that wait on one connection.
    """

    head_bytes: int = 64 * 1024
    head_seconds: float = 15.0
    body_seconds: float = 30.0
    body_bytes: int = 1024
    idle_seconds: int = 75
    connections: int = 1_000
    pipelined: int = 100


class _Phase(IntEnum):
    IDLE = 0  # no byte of the next request has arrived
    BLANK = 1  # empty lines only
    HEAD = 2
    BODY = 3
    REJECTED = 4  # answered and closed for writing: further bytes are discarded


class _RequestRejected(Exception):
    """Raised in the parser's callbacks; httptools wraps it in a HttpParserCallbackError."""


class LimitedHttpProtocol(HttpToolsProtocol):
    """One connection within ``limits``. A breach is answered with a problem, unless another answer is due first.

    Complete requests wait for their answers as long as these take. After a rejection a bounded number of further bytes
    is read and discarded: closing with bytes unread resets the connection, and the answer is lost.
    """

    limits: ClassVar[ConnectionLimits]
    rejected: ClassVar[set[LimitedHttpProtocol]]  # answered 503 for too many connections, and still open

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        self._phase = _Phase.IDLE
        self._timer: asyncio.TimerHandle | None = None
        self._head = 0  # bytes of the unfinished head
        self._complete = 0  # requests read to their end
        self._window = 0  # bytes since the body's timer was set
        self._framing = 0  # bytes of a body's framing since the last byte of body
        self._discarded = 0  # bytes since the answer was sent

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn's
        super().connection_made(transport)
        if len(self.connections) > self.limits.connections:
            self.connections.discard(self)  # a rejected connection does not count
            if len(self.rejected) >= MAX_REJECTED:
                transport.abort()
                return
            self.rejected.add(self)
            self._reject(
                OVERLOADED(f"at most {self.limits.connections} connections are served at a time", recorded=Recorded.NO)
            )
            return
        self._set_keepalive()  # uvicorn starts its timer with the first answer: a silent connection would stay open

    def connection_lost(self, exc: Exception | None) -> None:
        self._unset_timer()
        self._unset_keepalive_if_required()
        self.rejected.discard(self)
        super().connection_lost(exc)

    def shutdown(self) -> None:
        if self._phase is _Phase.REJECTED:
            self.transport.close()
        else:
            super().shutdown()

    def data_received(self, data: bytes) -> None:
        if self.timeout_keep_alive_task is not None:
            self._unset_keepalive_if_required()
        # Fed in pieces of at most a head's limit, so that no larger head is ever parsed.
        room = self.limits.head_bytes - self._head
        if len(data) <= room:
            self._read(data)
            return
        start = 0
        while start < len(data) and not self.transport.is_closing():
            if self._phase is _Phase.REJECTED:
                self._discard(len(data) - start)
                return
            end = start + self.limits.head_bytes - self._head
            self._read(data[start:end])
            start = end

    def _read(self, data: bytes) -> None:
        phase = self._phase
        if phase is _Phase.REJECTED:
            self._discard(len(data))
            return
        if phase is _Phase.IDLE:
            self._phase = _Phase.BLANK
        complete = self._complete
        self._framing += len(data)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            # An upgrade to another protocol is optional for the client: the request itself is answered.
            pass
        except httptools.HttpParserError as error:
            self._reject(_parse_problem(error))
            return
        phase = self._phase
        if phase is _Phase.IDLE:
            self._head = 0
            if self.cycle.response_complete and self.timeout_keep_alive_task is None:
                self._set_keepalive()  # answered before its body had arrived
            return
        if phase is _Phase.BODY:
            self._head = 0
            self._window += len(data)
            if self._framing > self.limits.head_bytes:
                self._reject(HEADERS_TOO_LARGE("what comes with the body's chunks is too long"))
                return
        else:
            # After another request's end the new head's share of this piece is unknown, and at most one piece.
            self._head = self._head + len(data) if complete == self._complete else 0
            if self._head >= self.limits.head_bytes:
                self._reject(
                    HEADERS_TOO_LARGE(f"the request line and headers have more than {self.limits.head_bytes} bytes")
                )
                return
        if self._timer is None:
            self._set_timer()

    def on_message_begin(self) -> None:
        self._phase = _Phase.HEAD
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        super().on_headers_complete()
        # The application is started by a task, which runs later than this.
        self.scope[WHOLE_ANSWER] = partial(self._answer_whole, self.cycle)  # type: ignore[typeddict-unknown-key]
        if len(self.pipeline) > self.limits.pipelined:
            raise _RequestRejected("too many requests wait on this connection")
        self._phase = _Phase.BODY
        self._framing = self._window = self._discarded = 0
        if self._timer is not None:
            self._unset_timer()

    def _answer_whole(self, cycle: RequestResponseCycle, status: int, head: bytes, body: bytes) -> bool:
        """The `AnswerWhole` of a request other than HEAD: what `cycle.send` does with both messages, in one write."""
        if cycle.response_started or cycle.disconnected or self.flow.write_paused:
            return False
        if not cycle.keep_alive:
            head += b"connection: close\r\n"
        own = b"".join([b"%b: %b\r\n" % header for header in cycle.default_headers])
        self.transport.write(b"%b%b%b\r\n%b" % (STATUS_LINE[status], own, head, body))
        cycle.waiting_for_100_continue = False
        cycle.response_started = cycle.response_complete = True
        cycle.message_event.set()
        if not cycle.keep_alive:
            self.transport.close()
        cycle.on_response()
        return True

    def on_body(self, body: bytes) -> None:
        self._framing = 0
        if self.cycle.response_complete:
            self._discarded += len(body)
            if self._discarded > DISCARD_BYTES:
                raise _RequestRejected("the body goes on long after its answer")
        super().on_body(body)

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._phase = _Phase.IDLE
        self._complete += 1
        if self._timer is not None:
            self._unset_timer()

    def _set_keepalive(self) -> None:
        self.timeout_keep_alive_task = self.loop.call_later(self.timeout_keep_alive, self.timeout_keep_alive_handler)

    def _set_timer(self) -> None:
        self._window = 0
        seconds = self.limits.body_seconds if self._phase is _Phase.BODY else self.limits.head_seconds
        self._timer = self.loop.call_later(seconds, self._on_timeout)

    def _unset_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _on_timeout(self) -> None:
        self._timer = None
        if self.transport.is_closing():
            return
        if self._phase is _Phase.BODY:
            # While this side does not read, the client cannot send.
            blocked_here = bool(self.pipeline) or self.flow.read_paused or self.cycle.waiting_for_100_continue
            if blocked_here or self._window >= self.limits.body_bytes:
                self._set_timer()
                return
            self._reject(REQUEST_TIMEOUT(f"the body did not come on within {self.limits.body_seconds:g} seconds"))
        elif self._answering():
            self._set_timer()
        elif self._phase is _Phase.BLANK:
            self.transport.close()
        else:
            self._reject(REQUEST_TIMEOUT(f"the headers were not there within {self.limits.head_seconds:g} seconds"))

    def _answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _reject(self, problem: Problem) -> None:
        """Send the problem, unless the client would take it for another request's answer, and close."""
        log.info("connection refused", code=problem.code, detail=problem.detail, client=self.client)
        self._unset_timer()
        if self._phase is _Phase.BODY:
            answerable = not self.pipeline and not self.cycle.response_started
        else:
            answerable = not self._answering()
        self._phase = _Phase.REJECTED
        self.pipeline.clear()
        if self._answering():
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        if not answerable:
            self.transport.close()
            return
        self.transport.write(self._encoded(problem))
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self._discarded = 0
        self.flow.resume_reading()
        self._timer = self.loop.call_later(DISCARD_SECONDS, self.transport.abort)

    def _encoded(self, problem: Problem) -> bytes:
        response = problem_response(problem, "POST")  # whatever it was: what was rejected has reached no route
        headers = [
            *self.server_state.default_headers,
            *response.raw_headers,
            NO_STORE,
            *HEADERS,
            (b"connection", b"close"),
        ]
        lines = b"".join(b"%b: %b\r\n" % header for header in headers)
        return b"".join((STATUS_LINE[problem.status], lines, b"\r\n", response.body))

    def _discard(self, size: int) -> None:
        self._discarded += size
        if self._discarded > DISCARD_BYTES:
            self.transport.abort()


def _parse_problem(error: httptools.HttpParserError) -> Problem:
    if isinstance(error.__context__, _RequestRejected):
        return BAD_REQUEST(str(error.__context__))
    if isinstance(error, httptools.HttpParserCallbackError):
        return BAD_REQUEST("the address cannot be read")
    if isinstance(error, httptools.HttpParserInvalidMethodError):
        return BAD_REQUEST("there is no such method")
    # The parser's own text, which holds nothing of the request.
    return BAD_REQUEST(f"this is not HTTP/1.1: {error}")


def limited_protocol(limits: ConnectionLimits) -> type[LimitedHttpProtocol]:
    """A protocol class with these limits, for ``uvicorn.Config(http=...)``, which makes the instances."""

    class Limited(LimitedHttpProtocol):
        pass

    Limited.limits = limits
    Limited.rejected = set()
    return Limited
