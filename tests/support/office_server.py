"""The head office in memory, behind a real socket, for branches that are real processes."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self

import httpx

from tests.support.fake_head_office import FakeHeadOffice


class OfficeServer:
    """Serves a FakeHeadOffice on 127.0.0.1. `delay` is slept in every answer to a batch, after it was taken in.

    `in_flight` says whether a batch is being answered right now.
    """

    def __init__(self, office: FakeHeadOffice, *, port: int = 0, delay: float = 0.0) -> None:
        self.office = office
        self.delay = delay
        self.in_flight = threading.Event()
        self._lock = threading.Lock()
        self._closed = False
        self._open: set[socket.socket] = set()
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self) -> None:
                super().setup()
                server._open.add(self.connection)

            def finish(self) -> None:
                server._open.discard(self.connection)
                super().finish()

            def do_GET(self) -> None:
                server._answer(self)

            def do_POST(self) -> None:
                server._answer(self)

            def log_message(self, format: str, *args: object) -> None:
                """Nothing on standard error."""

        class Server(ThreadingHTTPServer):
            def handle_error(self, request: object, client_address: object) -> None:
                """A branch that was killed, or a line that was cut, is no error here."""

        self._http = Server(("127.0.0.1", port), Handler)
        self._http.daemon_threads = True
        self.port = self._http.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._http.serve_forever, daemon=True)

    def _answer(self, handler: BaseHTTPRequestHandler) -> None:
        body = handler.rfile.read(int(handler.headers.get("content-length", 0)))
        request = httpx.Request(handler.command, self.url + handler.path, headers=dict(handler.headers), content=body)
        batch = handler.path.startswith("/v1/sync/events")
        try:
            if batch:
                self.in_flight.set()
            with self._lock:
                answer = self.office.handle_request(request)
            if batch and self.delay:
                time.sleep(self.delay)
            content = answer.read()
            handler.send_response(answer.status_code)
            for name, value in answer.headers.items():
                if name.lower() not in {"content-length", "transfer-encoding"}:
                    handler.send_header(name, value)
            handler.send_header("Content-Length", str(len(content)))
            handler.end_headers()
            handler.wfile.write(content)
        except (ConnectionError, httpx.TransportError):
            handler.close_connection = True
        finally:
            if batch:
                self.in_flight.clear()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Cut the line: nobody listens, and what was connected is cut off. May be called twice."""
        if self._closed:
            return
        self._closed = True
        self._http.shutdown()
        self._http.server_close()
        # Connections kept alive would go on being answered.
        for connection in list(self._open):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self._thread.join(5)
