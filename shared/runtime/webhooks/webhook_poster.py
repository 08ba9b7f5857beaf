"""One attempt to post a webhook, and what its result means."""

from __future__ import annotations

from collections.abc import Sequence
from email.utils import parsedate_to_datetime
from enum import StrEnum
from typing import Final

import httpx
import msgspec

from shared.runtime.clock import SECOND
from shared.runtime.telemetry import get_logger
from shared.runtime.webhooks.address_guard import AddressRefused
from shared.runtime.webhooks.pinned_transport import PinnedTransport
from shared.runtime.webhooks.webhook_signatures import signed_headers

log = get_logger("larder.webhooks")

ATTEMPT_SECONDS: Final = 15.0
LONGEST_RETRY_AFTER: Final = 3_600.0
MAX_ANSWER: Final = 4_096
NOT_HTTP: Final = "no answer: the connection was closed, or what came is not HTTP"
_LONGEST_ERROR: Final = 200
GONE_STATUS: Final = 410
AWAY_STATUSES: Final = frozenset({408, 425, 429, 503})


class AttemptOutcome(StrEnum):
    """What an attempt came to.

    DELIVERED: 2xx. GONE: 410, nothing more is wanted. AWAY: no answer, or one that asks to wait. REFUSED: any other
    answer, a redirect too.
    """

    DELIVERED = "DELIVERED"
    GONE = "GONE"
    AWAY = "AWAY"
    REFUSED = "REFUSED"


class WebhookAttempt(msgspec.Struct, frozen=True):
    """The result of one attempt. `status`: the answer's, None where there was none. `error`: for people, None if good.

    `retry_after`: in how many seconds the receiver asks to try again, at most an hour.
    """

    outcome: AttemptOutcome
    status: int | None = None
    error: str | None = None
    retry_after: float | None = None


class WebhookPoster:
    """Posts webhooks, from any number of threads. Connections are kept for the next one."""

    def __init__(self, transport: PinnedTransport, *, user_agent: str, seconds: float = ATTEMPT_SECONDS) -> None:
        self._transport = transport
        self._user_agent = user_agent
        self._seconds = seconds

    def post(
        self, url: str, *, message_id: str, body: bytes, content_type: str, secrets: Sequence[str], at: int
    ) -> WebhookAttempt:
        """One attempt at a moment (microseconds UTC), of 15 s at most; raises nothing for what a receiver does.

        No redirect is followed, and of an answer only status and headers are used: what it says would tell a stranger
        about machines that only this one can reach.
        """
        headers = {
            "User-Agent": self._user_agent,
            "Content-Type": content_type,
            "Accept-Encoding": "identity",
            **signed_headers(secrets, message_id, at, body),
        }
        try:
            with self._transport.within(self._seconds):
                answer = self._transport.handle_request(httpx.Request("POST", url, headers=headers, content=body))
                try:
                    return _meaning(answer.status_code, answer.headers.get("retry-after"), at)
                finally:
                    _read_rest(answer)
        except AddressRefused as error:
            return WebhookAttempt(AttemptOutcome.AWAY, error=f"not connected: {error}"[:_LONGEST_ERROR])
        except (httpx.TimeoutException, TimeoutError):
            return WebhookAttempt(AttemptOutcome.AWAY, error=f"no answer within {self._seconds:g} s")
        except httpx.RemoteProtocolError:
            # Not its text, which quotes what came: the greeting of a service that speaks something else, for example.
            return WebhookAttempt(AttemptOutcome.AWAY, error=NOT_HTTP)
        except (httpx.TransportError, httpx.InvalidURL) as error:
            return WebhookAttempt(
                AttemptOutcome.AWAY, error=f"no answer: {error or type(error).__name__}"[:_LONGEST_ERROR]
            )

    def interrupt(self) -> None:
        """End the attempts that are being made, as if nobody had answered; no more can be made."""
        self._transport.interrupt()

    def close(self) -> None:
        self._transport.close()


def _meaning(status: int, retry_after: str | None, at: int) -> WebhookAttempt:
    if 200 <= status < 300:
        return WebhookAttempt(AttemptOutcome.DELIVERED, status)
    error = f"answered {status}"
    if status == GONE_STATUS:
        return WebhookAttempt(AttemptOutcome.GONE, status, error)
    outcome = AttemptOutcome.AWAY if status in AWAY_STATUSES else AttemptOutcome.REFUSED
    return WebhookAttempt(outcome, status, error, _seconds_of(retry_after, at))


def _seconds_of(retry_after: str | None, at: int) -> float | None:
    """Of a Retry-After: seconds, or the moment; None where it cannot be read."""
    if retry_after is None or len(retry_after) > 64:
        return None
    if retry_after.isascii() and retry_after.isdigit():
        seconds = float(retry_after)
    else:
        try:
            seconds = parsedate_to_datetime(retry_after).timestamp() - at / SECOND
        except (ValueError, TypeError, OverflowError):
            return None
    return min(max(seconds, 0.0), LONGEST_RETRY_AFTER)


def _read_rest(answer: httpx.Response) -> None:
    """Read an answer to its end, so that its connection can be kept; a long or slow one is cut off instead."""
    size = 0
    try:
        for part in answer.iter_raw():
            size += len(part)
            if size > MAX_ANSWER:
                break
    except (httpx.TransportError, httpx.StreamError, TimeoutError) as error:
        # Its status has come, and that is the answer.
        log.debug("an answer was not read to its end", why=str(error))
    finally:
        answer.close()
