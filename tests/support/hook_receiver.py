"""A receiver of webhooks: a real HTTP server on this machine, that answers as a test tells it."""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Self

LONGEST_HANG = 30.0


@dataclass(frozen=True)
class Received:
    """One request; header names in lower case."""

    path: str
    headers: Mapping[str, str]
    body: bytes
    method: str = "POST"

    @property
    def message_id(self) -> str:
        return self.headers["webhook-id"]


@dataclass(frozen=True)
class Reply:
    """An answer: a status with headers and content; or `hangs` (none, until the receiver closes), `resets` (the
    connection), `drips` (headers, then a byte now and then)."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    content: bytes = b""
    hangs: bool = False
    resets: bool = False
    drips: bool = False


class HookReceiver:
    """`answer` decides each reply, `received` are all requests in order. `wait_for` waits for so many of them.

    With `certificate` it speaks TLS as shop.example, and `names` are the names that clients asked for.
    """

    def __init__(
        self, answer: Callable[[Received], Reply] | None = None, *, port: int = 0, certificate: Path | None = None
    ) -> None:
        self.answer = answer or (lambda _received: Reply())
        self.received: list[Received] = []
        self.names: list[str | None] = []
        self.connections = 0
        self._changed = threading.Condition()
        self._closing = threading.Event()
        self._open: set[socket.socket] = set()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True
            # One write for headers and content.
            wbufsize = -1

            def setup(self) -> None:
                super().setup()
                receiver.connections += 1
                receiver._open.add(self.connection)

            def finish(self) -> None:
                receiver._open.discard(self.connection)
                with contextlib.suppress(OSError, ValueError):
                    super().finish()

            def do_POST(self) -> None:
                with contextlib.suppress(OSError):
                    receiver._take(self)

            do_GET = do_POST  # noqa: N815

            def log_message(self, format: str, *args: object) -> None:
                """Nothing on standard error."""

        class Server(ThreadingHTTPServer):
            def handle_error(self, request: object, client_address: object) -> None:
                """A client that is gone is no error here."""

        self._http = Server(("127.0.0.1", port), Handler)
        self._http.daemon_threads = True
        self.port = self._http.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}/hooks"
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            context.sni_callback = lambda _socket, name, _context: self.names.append(name)
            self._http.socket = context.wrap_socket(self._http.socket, server_side=True, do_handshake_on_connect=False)
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.01,), daemon=True)

    def _take(self, handler: BaseHTTPRequestHandler) -> None:
        body = handler.rfile.read(int(handler.headers.get("content-length", 0)))
        received = Received(handler.path, {k.lower(): v for k, v in handler.headers.items()}, body, handler.command)
        reply = self.answer(received)
        with self._changed:
            self.received.append(received)
            self._changed.notify_all()
        if reply.hangs:
            self._closing.wait(LONGEST_HANG)
            handler.close_connection = True
            return
        if reply.resets:
            handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            handler.connection.close()
            handler.close_connection = True
            return
        handler.send_response(reply.status)
        for name, value in reply.headers.items():
            handler.send_header(name, value)
        handler.send_header("content-length", str(1_000 if reply.drips else len(reply.content)))
        handler.end_headers()
        handler.wfile.write(reply.content)
        handler.wfile.flush()
        while reply.drips and not self._closing.wait(0.05):
            handler.wfile.write(b".")
            handler.wfile.flush()

    def wait_for(self, count: int, seconds: float = 20.0) -> list[Received]:
        """The first so many requests, once they have come."""
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.received) >= count, seconds), (
                f"{len(self.received)} of {count} requests came within {seconds} s"
            )
            return self.received[:count]

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Nobody listens any more, and what was connected is cut off. May be called twice."""
        if self._closing.is_set():
            return
        self._closing.set()
        self._http.shutdown()
        self._http.server_close()
        for connection in list(self._open):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self._thread.join(5)


CERTIFICATE = """\
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgBFB/JqS4SUa43o/n
U6+7hJGrvNC2g7I/Cmn+CQR41bGhRANCAAT/2ZcLd6smKFD/AOHOapUN31x2aVPQ
sucgbMdapHdTOGa+aEKagH8VbzxjEZzupiexOgak9GvGJLxheRj8ZT/4
-----END PRIVATE KEY-----
-----BEGIN CERTIFICATE-----
MIIBnTCCAUSgAwIBAgIUDTt/7P2dL0IMVKyEXmCkr0bDzTUwCgYIKoZIzj0EAwIw
FzEVMBMGA1UEAwwMc2hvcC5leGFtcGxlMCAXDTI2MTEyOTEwMzgwN1oYDzIxMjYx
MTA1MTAzODA3WjAXMRUwEwYDVQQDDAxzaG9wLmV4YW1wbGUwWTATBgcqhkjOPQIB
BggqhkjOPQMBBwNCAAT/2ZcLd6smKFD/AOHOapUN31x2aVPQsucgbMdapHdTOGa+
aEKagH8VbzxjEZzupiexOgak9GvGJLxheRj8ZT/4o2wwajAdBgNVHQ4EFgQUM49r
g4v4a82V1xoo5gucWfTKha8wHwYDVR0jBBgwFoAUM49rg4v4a82V1xoo5gucWfTK
ha8wDwYDVR0TAQH/BAUwAwEB/zAXBgNVHREEEDAOggxzaG9wLmV4YW1wbGUwCgYI
KoZIzj0EAwIDRwAwRAIgWZ81DiqYAMavgmoksg9jhkZyoCIN4slILOtAPYqYLN8C
IHgcq48Uc//DzqYtmDb/rpitWGzf8hv1gnYWCdenj5w+
-----END CERTIFICATE-----
"""
"""The key and the certificate, by itself, of shop.example; for tests alone."""
