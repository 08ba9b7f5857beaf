"""An httpx transport that connects to exactly the addresses that its guard has checked, within a deadline.

The name is resolved once for each connection, by us; the connection goes to the address that was checked, so that a
name cannot mean another address a moment later. Host and TLS keep the name. Proxies of the environment are not used.
"""

from __future__ import annotations

import select
import socket
import ssl
import threading
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from contextlib import contextmanager, suppress
from typing import Any, Final, cast
from weakref import WeakSet

import httpcore
import httpx

from shared.runtime.webhooks.address_guard import AddressGuard, Resolver, is_address, look_up

MOST_CONNECTIONS: Final = 64
KEEP_ALIVE_SECONDS: Final = 60.0
MOST_LOOKUPS: Final = 64


class PinnedTransport(httpx.BaseTransport):
    """Carries requests; each thread's within the deadline that it set. Raises AddressRefused, httpx.TransportError."""

    def __init__(
        self, guard: AddressGuard, *, resolve: Resolver = look_up, ssl_context: ssl.SSLContext | None = None
    ) -> None:
        self._deadline = _Deadline()
        self._open = _OpenSockets()
        context = ssl_context or httpx.create_ssl_context(trust_env=False)
        lookups = TimedLookups(resolve)
        # Two, as the network's side of a pool is not told the scheme, on which it depends what is allowed.
        self._pools = {
            scheme: httpcore.ConnectionPool(
                ssl_context=context,
                max_connections=MOST_CONNECTIONS,
                max_keepalive_connections=MOST_CONNECTIONS,
                keepalive_expiry=KEEP_ALIVE_SECONDS,
                network_backend=_PinnedNetwork(scheme, guard, lookups, self._deadline, self._open),
            )
            for scheme in ("http", "https")
        }

    @contextmanager
    def within(self, seconds: float) -> Iterator[None]:
        """What this thread does in the block, reading included, ends within so many seconds."""
        self._deadline.set(seconds)
        try:
            yield
        finally:
            self._deadline.clear()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        remaining = self._deadline.remaining()
        carried = httpcore.Request(
            method=request.method,
            url=httpcore.URL(
                scheme=request.url.raw_scheme,
                host=request.url.raw_host,
                port=request.url.port,
                target=request.url.raw_path,
            ),
            headers=request.headers.raw,
            content=cast("Iterable[bytes]", request.stream),
            extensions={"timeout": dict.fromkeys(("connect", "read", "write", "pool"), remaining)},
        )
        with _as_httpx():
            answer = self._pools[request.url.scheme].handle_request(carried)
        return httpx.Response(
            answer.status,
            headers=answer.headers,
            stream=_AnswerStream(answer),
            extensions={"http_version": b"HTTP/1.1"},
        )

    def interrupt(self) -> None:
        """Cut off every connection, from any thread: who waits for an answer waits no more. For good."""
        self._open.cut_off()

    def close(self) -> None:
        for pool in self._pools.values():
            pool.close()


class _AnswerStream(httpx.SyncByteStream):
    def __init__(self, answer: httpcore.Response) -> None:
        self._answer = answer

    def __iter__(self) -> Iterator[bytes]:
        with _as_httpx():
            yield from cast("Iterable[bytes]", self._answer.stream)

    def close(self) -> None:
        self._answer.close()


@contextmanager
def _as_httpx() -> Iterator[None]:
    try:
        yield
    except httpcore.TimeoutException as error:
        raise httpx.TimeoutException(str(error)) from error
    except httpcore.ProtocolError as error:
        raise httpx.RemoteProtocolError(str(error)) from error
    except (httpcore.NetworkError, httpcore.UnsupportedProtocol) as error:
        raise httpx.NetworkError(str(error)) from error


class _Deadline(threading.local):
    """Until when this thread may use the network, in seconds of the monotonic clock."""

    until: float | None = None

    def set(self, seconds: float) -> None:
        self.until = time.monotonic() + seconds

    def clear(self) -> None:
        self.until = None

    def remaining(self) -> float:
        """Seconds left. Raises TimeoutError where there are none."""
        if self.until is None:
            raise RuntimeError("a request is made within a deadline")
        left = self.until - time.monotonic()
        if left <= 0:
            raise TimeoutError("the time is over")
        return left


class _OpenSockets:
    """The sockets that are open, so that another thread can end what waits on them."""

    def __init__(self) -> None:
        self._sockets: WeakSet[socket.socket] = WeakSet()
        self._lock = threading.Lock()
        self._closed = False

    def add(self, opened: socket.socket) -> None:
        """Raises OSError once they were cut off."""
        with self._lock:
            if self._closed:
                opened.close()
                raise OSError("connections are being closed")
            self._sockets.add(opened)

    def cut_off(self) -> None:
        with self._lock:
            self._closed = True
            for each in list(self._sockets):
                # Not TLS's own way to shut down, which would touch what the thread that waits is using.
                with suppress(OSError):
                    socket.socket.shutdown(each, socket.SHUT_RDWR)


class TimedLookups:
    """Resolves names in threads of their own: the system's resolver cannot be interrupted."""

    def __init__(self, resolve: Resolver) -> None:
        self._resolve = resolve
        self._free = threading.BoundedSemaphore(MOST_LOOKUPS)

    def addresses(self, host: str, port: int, seconds: float) -> list[str]:
        """The addresses of a host. Raises OSError where it has none, or they were not found in time."""
        if is_address(host):
            return [host]
        if not self._free.acquire(timeout=seconds):
            raise TimeoutError("too many names are being resolved")
        answer: Future[list[str]] = Future()

        def resolve() -> None:
            try:
                answer.set_result(list(self._resolve(host, port)))
            except BaseException as error:  # noqa: BLE001 - the thread that waits for it raises it
                answer.set_exception(error)
            finally:
                self._free.release()

        threading.Thread(target=resolve, name="larder-lookup", daemon=True).start()
        try:
            return answer.result(seconds)
        except FutureTimeout as error:
            raise TimeoutError(f"{host} did not resolve in time") from error


class _PinnedNetwork(httpcore.NetworkBackend):
    def __init__(
        self, scheme: str, guard: AddressGuard, lookups: TimedLookups, deadline: _Deadline, opened: _OpenSockets
    ) -> None:
        self._open = opened
        self._scheme = scheme
        self._guard = guard
        self._lookups = lookups
        self._deadline = deadline

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ARG002 - the deadline is stricter
        local_address: str | None = None,  # noqa: ARG002 - the base's signature
        socket_options: Iterable[Any] | None = None,  # noqa: ARG002 - likewise
    ) -> httpcore.NetworkStream:
        with _mapped(httpcore.ConnectTimeout, httpcore.ConnectError):
            addresses = self._guard.checked(
                self._scheme, host, port, lambda name, port: self._lookups.addresses(name, port, self._remaining())
            )
            return _PinnedStream(self._connect(addresses, port), self._deadline, self._open)

    def _remaining(self) -> float:
        return self._deadline.remaining()

    def _connect(self, addresses: list[str], port: int) -> socket.socket:
        """A connection to the first address that takes one."""
        failure: OSError = OSError("there is no address")
        for number, address in enumerate(addresses):
            left = self._remaining()
            try:
                # An equal share, so that one address that drops everything leaves time for the others.
                connected = socket.create_connection((address, port), left / (len(addresses) - number))
            except OSError as error:
                failure = error
            else:
                connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                return connected
        raise failure


class _PinnedStream(httpcore.NetworkStream):
    """A socket, each use of which ends by the deadline of the thread that uses it."""

    def __init__(self, connected: socket.socket, deadline: _Deadline, opened: _OpenSockets) -> None:
        opened.add(connected)
        self._open = opened
        self._socket = connected
        self._deadline = deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ARG002 - the deadline is stricter
        with _mapped(httpcore.ReadTimeout, httpcore.ReadError):
            self._socket.settimeout(self._deadline.remaining())
            return self._socket.recv(max_bytes)

    def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ARG002 - likewise
        with _mapped(httpcore.WriteTimeout, httpcore.WriteError):
            waiting = memoryview(buffer)
            while waiting:
                self._socket.settimeout(self._deadline.remaining())
                waiting = waiting[self._socket.send(waiting) :]

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ARG002 - likewise
    ) -> httpcore.NetworkStream:
        with _mapped(httpcore.ConnectTimeout, httpcore.ConnectError):
            try:
                self._socket.settimeout(self._deadline.remaining())
                secured = ssl_context.wrap_socket(self._socket, server_hostname=server_hostname)
                return _PinnedStream(secured, self._deadline, self._open)
            except BaseException:
                self.close()
                raise

    def close(self) -> None:
        self._socket.close()

    def get_extra_info(self, info: str) -> Any:
        if info == "is_readable":
            # So the pool sees that the other side has closed a connection that was kept.
            waiting = select.poll()
            waiting.register(self._socket, select.POLLIN)
            return bool(waiting.poll(0))
        if info == "ssl_object" and isinstance(self._socket, ssl.SSLSocket):
            return self._socket
        return None


@contextmanager
def _mapped(late: type[Exception], failed: type[Exception]) -> Iterator[None]:
    try:
        yield
    except TimeoutError as error:
        raise late(str(error) or "the time is over") from error
    except OSError as error:
        raise failed(str(error)) from error
    except UnicodeError as error:
        raise failed(f"the name cannot be resolved: {error}") from error
