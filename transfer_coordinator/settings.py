"""Settings of the transfer coordinator: flags, then `LARDER_…`, then `settings.toml` in its --dir."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, Field, SecretStr

from shared.runtime.http.auth import key_id_of
from shared.runtime.settings import (
    FILE_NAME,
    LOCALHOST,
    RATE_BURST,
    RATE_LIMIT,
    HeadOfficeAddress,
    PostgresSettings,
    RateBurst,
    RateLimit,
    SettingsError,
    TrustedProxies,
    environment,
    find_here,
    load_settings,
)

SERVICE: Final = "transfer-coordinator"
DEFAULT_PORT: Final = 8001


def _key(secret: SecretStr) -> SecretStr:
    if key_id_of(secret.get_secret_value()) is None:
        raise ValueError("this is no key; 'larder head-office keys add --role coordinator' prints one")
    return secret


class CoordinatorSettings(PostgresSettings):
    """The coordinator of a group. Without a `database_url` it runs a PostgreSQL of its own in `dir`.

    `key` is its key at head office. `lease_seconds`: how long a transfer waits for a coordinator that was killed.
    """

    service: Literal["transfer-coordinator"] = SERVICE
    head_office: HeadOfficeAddress
    key: Annotated[SecretStr, AfterValidator(_key)]
    host: str = LOCALHOST
    port: Annotated[int, Field(ge=0, le=65_535)] = DEFAULT_PORT
    lease_seconds: Annotated[float, Field(ge=1, le=600)] = 10.0
    ask_again_seconds: Annotated[float, Field(ge=0.5, le=3_600)] = 5.0
    trusted_proxies: TrustedProxies = ""
    log_level: str = "INFO"
    rate_limit_per_second: RateLimit = RATE_LIMIT
    rate_limit_burst: RateBurst = RATE_BURST


def settings_of(folder: Path | None, **flags: Any) -> CoordinatorSettings:
    """The settings of the coordinator in `folder`; without one that of LARDER_DIR, else the only one found here.

    Raises SettingsError where there is none, or it was not initialised.
    """
    if folder is None and environment("DIR") is None:
        folder = find_here(SERVICE)
        if folder is None:
            raise SettingsError("which coordinator? Give --dir, or set LARDER_DIR")
    try:
        return load_settings(CoordinatorSettings, {"dir": folder, **flags})
    except SettingsError as error:
        if folder is not None and not (folder / FILE_NAME).exists() and "is missing" in str(error):
            raise SettingsError(
                f"there is no coordinator in {folder}: "
                f"run 'larder transfer init --dir {folder} --head-office URL --key KEY' first"
            ) from error
        raise
