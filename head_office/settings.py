"""Settings of head office: flags, then `LARDER_…`, then `settings.toml` in its --dir."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import Field

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
