"""Small HTTP servers on this machine, each request answered by a function in a thread of its own."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Answer = Callable[[BaseHTTPRequestHandler, bytes], None]
"""Answers a request, whose body is given, with `send`; or closes the connection by `close_connection`."""


@contextmanager
def http_server(answer: Answer) -> Iterator[str]:
    """The address of a server on 127.0.0.1 that answers GET, POST and PUT so, for the length of the `with`."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            answer(self, self.rfile.read(int(self.headers.get("content-length", 0))))

        do_POST = do_PUT = do_GET  # noqa: N815

        def log_message(self, format: str, *args: object) -> None:
            """Nothing to the terminal."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def send(handler: BaseHTTPRequestHandler, status: int, headers: Mapping[str, str], content: bytes) -> None:
    """Send an answer whole."""
    handler.send_response(status)
    for name, value in headers.items():
        handler.send_header(name, value)
    handler.send_header("content-length", str(len(content)))
    handler.end_headers()
    handler.wfile.write(content)


@contextmanager
def problem_server(problem: Mapping[str, Any]) -> Iterator[str]:
    """The address of a server that answers everything with the problem as it is then; `status` is its status."""

    def answer(handler: BaseHTTPRequestHandler, _body: bytes) -> None:
        send(handler, problem["status"], {"content-type": "application/problem+json"}, json.dumps(problem).encode())

    with http_server(answer) as url:
        yield url
