"""Settings of head office: flags, then `LARDER_…`, then `settings.toml` in its --dir."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

from pydantic import Field, model_validator

from shared.runtime.mail.mail_addresses import MailAddress, MailAddresses, SmtpUrl
from shared.runtime.settings import (
    FILE_NAME,
    LOCALHOST,
    RATE_BURST,
    RATE_LIMIT,
    PostgresAddress,
    PostgresSettings,
    RateBurst,
    RateLimit,
    SettingsError,
    TrustedProxies,
    WebhookAllow,
    environment,
    find_here,
    load_settings,
)

SERVICE: Final = "head-office"
DEFAULT_PORT: Final = 8000


class HeadOfficeSettings(PostgresSettings):
    """Head office of a group. Without a `database_url` it runs a PostgreSQL of its own in `dir`.

    `listen_url` is where it listens for notifications of the database, by default `database_url`: through a pooler that
    gives a connection to one transaction at a time nothing is heard. `threads` work on requests, with a database
    connection each; `ingests` of them at most take in batches at a time. `heard_within`: seconds within which a branch
    must have been heard of to serve an order; it calls every 30. `webhook_allow`: where messages may be sent although
    it is not public, or without TLS.

    The report of each morning is mailed from `mail_from` to `report_mail_to` by the server `smtp_url`, where all three
    are given: none of them is good for anything alone.
    """

    service: Literal["head-office"] = SERVICE
    host: str = LOCALHOST
    port: Annotated[int, Field(ge=0, le=65_535)] = DEFAULT_PORT
    trusted_proxies: TrustedProxies = ""
    listen_url: PostgresAddress | None = None
    threads: Annotated[int, Field(ge=2, le=200)] = 16
    ingests: Annotated[int, Field(ge=1, le=100)] = 4
    heard_within: Annotated[int, Field(ge=10, le=86_400)] = 120
    log_level: str = "INFO"
    rate_limit_per_second: RateLimit = RATE_LIMIT
    rate_limit_burst: RateBurst = RATE_BURST
    webhook_allow: WebhookAllow = ""
    smtp_url: SmtpUrl | None = None
    mail_from: MailAddress | None = None
    report_mail_to: MailAddresses = ""

    @model_validator(mode="after")
    def _mail_is_whole(self) -> Self:
        given = {"smtp_url": self.smtp_url, "mail_from": self.mail_from, "report_mail_to": self.report_mail_to.strip()}
        missing = [name for name, value in given.items() if not value]
        if missing and len(missing) < len(given):
            raise ValueError(
                f"the report of each morning is mailed where smtp_url, mail_from and report_mail_to are given: "
                f"add {' and '.join(missing)}, as LARDER_{missing[0].upper()} or in {FILE_NAME}"
            )
        return self


def settings_of(folder: Path | None, **flags: Any) -> HeadOfficeSettings:
    """The settings of the head office in `folder`; without one that of LARDER_DIR, else the only one found here.

    Raises SettingsError where there is none, or it was not initialised.
    """
    if folder is None and environment("DIR") is None:
        folder = find_here(SERVICE)
        if folder is None:
            raise SettingsError("which head office? Give --dir, or set LARDER_DIR")
    settings = load_settings(HeadOfficeSettings, {"dir": folder, **flags})
    if settings.database_url is None and not (settings.dir / FILE_NAME).exists():
        raise SettingsError(
            f"{settings.dir} is no head office yet: run 'larder head-office init --dir {settings.dir}' first"
        )
    return settings
