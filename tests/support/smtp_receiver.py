"""A mail server that does what a test wants: accept, refuse, fall silent, break off."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from typing import Any

from aiosmtpd.smtp import SMTP


class SmtpReceiver:
    """Handles mails by its `mode`: accept, refuse (550), later (451), half, hang, drip, break, forget.

    `half` refuses the recipients that begin with "no"; `hang` never answers; `drip` sends a byte of an answer now and
    then; `break` hangs up before the end; `forget` takes the mail and hangs up without saying so.
    """

    def __init__(self) -> None:
        self.mode = "accept"
        self.received: list[EmailMessage] = []
        self.recipients: list[list[str]] = []
        self.users: list[tuple[str, str]] = []
        self.connections = 0
        self.reached = threading.Event()

    async def handle_EHLO(  # noqa: N802 - aiosmtpd's name
        self, server: Any, session: Any, envelope: Any, hostname: str, responses: list[str]
    ) -> list[str]:
        del server, envelope
        session.host_name = hostname
        self.connections += 1
        return responses

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self, server: Any, session: Any, envelope: Any, address: str, options: list[str]
    ) -> str:
        del server, session, options
        if self.mode == "refuse" or (self.mode == "half" and address.startswith("no")):
            return "550-there is\r\n550 nobody here"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802 - aiosmtpd's name
        del session
        self.reached.set()
        if self.mode == "hang":
            await asyncio.sleep(3_600)
        if self.mode == "drip":
            while True:
                await server.push("250-wait")
                await asyncio.sleep(0.05)
        if self.mode == "break":
            server.transport.abort()
            return "250 OK"
        if self.mode == "later":
            return "451 the disk is full"
        self.received.append(message_from_bytes(envelope.content, policy=default))
        self.recipients.append(envelope.rcpt_tos)
        if self.mode == "forget":
            server.transport.abort()
        return "250 OK"


@contextmanager
def receiving(receiver: SmtpReceiver, **options: Any) -> Iterator[int]:
    """The port at which it receives. `options` are aiosmtpd's."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    async def listen() -> asyncio.Server:
        return await loop.create_server(lambda: SMTP(receiver, loop=loop, **options), "127.0.0.1", 0)

    async def end() -> None:
        server.close()
        others = [each for each in asyncio.all_tasks() if each is not asyncio.current_task()]
        for each in others:
            each.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    server = asyncio.run_coroutine_threadsafe(listen(), loop).result(10)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        asyncio.run_coroutine_threadsafe(end(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()
