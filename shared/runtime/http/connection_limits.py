"""What a connection may ask of a node before any of our routes sees it: bounds on heads, waiting, and their number.

uvicorn has none of these, and answers what it cannot parse in plain text.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, ClassVar, Final

import httptools
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from shared.runtime.http.middleware import DISCARD_BYTES, DISCARD_SECONDS, HEADERS, NO_STORE
from shared.runtime.problems import (
    BAD_REQUEST,
    HEADERS_TOO_LARGE,
    OVERLOADED,
    REQUEST_TIMEOUT,
    Problem,
    problem_response,
)
from shared.runtime.telemetry import get_logger

log = get_logger("larder.connections")

# Refused connections that are still told so; what comes beyond is cut off without a word.
REFUSED_AT_ONCE: Final = 64


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """Bounds of every connection.

    ``head_bytes``: request line and headers together, as sent; for pipelined requests up to twice that. Also what of
    a chunked body may come in a row without being body (extensions, trailers). ``head_seconds``: from a request's
    first byte to the end of its headers. ``body_seconds``: in each such time at least ``body_bytes`` of an unfinished
    body must come. ``idle_seconds``: without a request, from the connection's beginning or the last answer on.
    ``connections``: open ones, ``pipelined``: complete requests that wait on one connection.
    """

    head_bytes: int = 64 * 1024
    head_seconds: float = 15.0
    body_seconds: float = 30.0
    body_bytes: int = 1024
    idle_seconds: int = 75
    connections: int = 1_000
    pipelined: int = 100


class _Phase(IntEnum):
    IDLE = 0  # no byte of the next request is there
    BLANK = 1  # bytes, but empty lines only
    HEAD = 2
    BODY = 3
    REFUSED = 4  # answered and closed in our direction: what still comes is thrown away


class _NotServed(Exception):
    """Raised in the parser's callbacks; httptools makes a HttpParserCallbackError of it."""


class LimitedHttpProtocol(HttpToolsProtocol):
    """One connection within ``limits``. What breaks them is answered with a problem, where no other answer is due.

    Complete requests wait for their answers as long as these take. After a refusal a bounded amount of what the caller
    still sends is read and thrown away: closing with bytes unread resets the connection, and the answer is lost.
    """

    limits: ClassVar[ConnectionLimits]
    turned_away: ClassVar[set[LimitedHttpProtocol]]  # told that there are too many, and not yet gone

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        self._phase = _Phase.IDLE
        self._timer: asyncio.TimerHandle | None = None
        self._head = 0  # bytes of the unfinished head
        self._ended = 0  # requests read to their end
        self._window = 0  # bytes since the body's timer was set
        self._bare = 0  # bytes of a body's framing since the last byte of body
        self._thrown_away = 0  # bytes since the answer was given

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn's
        super().connection_made(transport)
        if len(self.connections) > self.limits.connections:
            self.connections.discard(self)  # one refused takes nobody's place
            if len(self.turned_away) >= REFUSED_AT_ONCE:
                transport.abort()
                return
            self.turned_away.add(self)
            self._refuse(OVERLOADED(f"at most {self.limits.connections} connections are served at a time"))
            return
        self._set_keepalive()  # uvicorn's begins with the first answer: a silent connection would stay for ever

    def connection_lost(self, exc: Exception | None) -> None:
        self._unset_timer()
        self._unset_keepalive_if_required()
        self.turned_away.discard(self)
        super().connection_lost(exc)

    def shutdown(self) -> None:
        if self._phase is _Phase.REFUSED:
            self.transport.close()
        else:
            super().shutdown()

    def data_received(self, data: bytes) -> None:
        if self.timeout_keep_alive_task is not None:
            self._unset_keepalive_if_required()
        # Never more at once than a head may have, so that none larger is ever parsed.
        room = self.limits.head_bytes - self._head
        if len(data) <= room:
            self._read(data)
            return
        start = 0
        while start < len(data) and not self.transport.is_closing():
            if self._phase is _Phase.REFUSED:
                self._throw_away(len(data) - start)
                return
            end = start + self.limits.head_bytes - self._head
            self._read(data[start:end])
            start = end

    def _read(self, data: bytes) -> None:
        phase = self._phase
        if phase is _Phase.REFUSED:
            self._throw_away(len(data))
            return
        if phase is _Phase.IDLE:
            self._phase = _Phase.BLANK
        ended = self._ended
        self._bare += len(data)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            # Another protocol is offered, not demanded: the request itself is answered.
            pass
        except httptools.HttpParserError as error:
            self._refuse(_unreadable(error))
            return
        phase = self._phase
        if phase is _Phase.IDLE:
            self._head = 0
            if self.cycle.response_complete and self.timeout_keep_alive_task is None:
                self._set_keepalive()  # answered before its body was there
            return
        if phase is _Phase.BODY:
            self._head = 0
            self._window += len(data)
            if self._bare > self.limits.head_bytes:
                self._refuse(HEADERS_TOO_LARGE("what comes with the body's chunks is too long"))
                return
        else:
            # After the end of another request, how much is of the new one is not known: little enough, as one piece.
            self._head = self._head + len(data) if ended == self._ended else 0
            if self._head >= self.limits.head_bytes:
                self._refuse(
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
        if len(self.pipeline) > self.limits.pipelined:
            raise _NotServed("too many requests wait on this connection")
        self._phase = _Phase.BODY
        self._bare = self._window = self._thrown_away = 0
        if self._timer is not None:
            self._unset_timer()

    def on_body(self, body: bytes) -> None:
        self._bare = 0
        if self.cycle.response_complete:
            self._thrown_away += len(body)
            if self._thrown_away > DISCARD_BYTES:
                raise _NotServed("the body goes on long after its answer")
        super().on_body(body)

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._phase = _Phase.IDLE
        self._ended += 1
        if self._timer is not None:
            self._unset_timer()

    def _set_keepalive(self) -> None:
        self.timeout_keep_alive_task = self.loop.call_later(self.timeout_keep_alive, self.timeout_keep_alive_handler)

    def _set_timer(self) -> None:
        self._window = 0
        seconds = self.limits.body_seconds if self._phase is _Phase.BODY else self.limits.head_seconds
        self._timer = self.loop.call_later(seconds, self._too_late)

    def _unset_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _too_late(self) -> None:
        self._timer = None
        if self.transport.is_closing():
            return
        if self._phase is _Phase.BODY:
            # While we do not read, the caller cannot send.
            ours = bool(self.pipeline) or self.flow.read_paused or self.cycle.waiting_for_100_continue
            if ours or self._window >= self.limits.body_bytes:
                self._set_timer()
                return
            self._refuse(REQUEST_TIMEOUT(f"the body did not come on within {self.limits.body_seconds:g} seconds"))
        elif self._answering():
            self._set_timer()
        elif self._phase is _Phase.BLANK:
            self.transport.close()
        else:
            self._refuse(REQUEST_TIMEOUT(f"the headers were not there within {self.limits.head_seconds:g} seconds"))

    def _answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _refuse(self, problem: Problem) -> None:
        """Answer, if the answer cannot be taken for another's, and close."""
        log.info("connection refused", code=problem.code, detail=problem.detail, client=self.client)
        self._unset_timer()
        if self._phase is _Phase.BODY:
            answerable = not self.pipeline and not self.cycle.response_started
        else:
            answerable = not self._answering()
        self._phase = _Phase.REFUSED
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
        self._thrown_away = 0
        self.flow.resume_reading()
        self._timer = self.loop.call_later(DISCARD_SECONDS, self.transport.abort)

    def _encoded(self, problem: Problem) -> bytes:
        response = problem_response(problem)
        headers = [
            *self.server_state.default_headers,
            *response.raw_headers,
            NO_STORE,
            *HEADERS,
            (b"connection", b"close"),
        ]
        lines = b"".join(b"%b: %b\r\n" % header for header in headers)
        return b"".join((STATUS_LINE[problem.status], lines, b"\r\n", response.body))

    def _throw_away(self, size: int) -> None:
        self._thrown_away += size
        if self._thrown_away > DISCARD_BYTES:
            self.transport.abort()


def _unreadable(error: httptools.HttpParserError) -> Problem:
    if isinstance(error.__context__, _NotServed):
        return BAD_REQUEST(str(error.__context__))
    if isinstance(error, httptools.HttpParserCallbackError):
        return BAD_REQUEST("the address cannot be read")
    if isinstance(error, httptools.HttpParserInvalidMethodError):
        return BAD_REQUEST("there is no such method")
    # One of the parser's own sentences; none holds anything of the request.
    return BAD_REQUEST(f"this is not HTTP/1.1: {error}")


def protocol_within(limits: ConnectionLimits) -> type[LimitedHttpProtocol]:
    """The protocol class with these limits, for ``uvicorn.Config(http=...)``, which makes the instances itself."""

    class Limited(LimitedHttpProtocol):
        pass

    Limited.limits = limits
    Limited.turned_away = set()
    return Limited
