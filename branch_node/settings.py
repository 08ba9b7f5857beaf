"""Settings of a branch's node: flags, then `LARDER_…`, then `settings.toml` in its --dir."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Final, Literal
from urllib.parse import quote, unquote, urlsplit
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, Field, SecretStr

from shared.runtime.settings import (
    FILE_NAME,
    LOCALHOST,
    RATE_BURST,
    RATE_LIMIT,
    HeadOfficeAddress,
    RateBurst,
    RateLimit,
    ServiceSettings,
    SettingsError,
    TrustedProxies,
    WebhookAllow,
    environment,
    load_settings,
)
from shared.runtime.text.text_faults import code_fault

SERVICE: Final = "branch"
DEFAULT_PORT: Final = 8101
_DAY_START: Final = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])", re.ASCII)


def _location(text: str) -> str:
    if not 1 <= len(text) <= 64:
        raise ValueError("a location's code has 1 to 64 characters")
    fault = code_fault(text)
    if fault is not None:
        raise ValueError(f"this cannot be a location's code: {fault}")
    return text


def _timezone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        raise ValueError(f"no time zone {name!r} is known here; one is called like Asia/Beirut or UTC") from error
    return name


def _day_start(text: str) -> str:
    if not _DAY_START.fullmatch(text):
        raise ValueError("the start of the business day is a time of day such as 04:00")
    return text


class BranchSettings(ServiceSettings):
    """Settings of one location's node. `timezone` and `day_start` hold until head office's catalogue replaces them.

    `database` is `sqlite:///path` or `postgresql://…`; by default a SQLite file in `dir`. `key` is the location's key
    at head office. `witness` is a file outside the database's folder; by default beside `dir`. `upload_mib`: the
    size of a file that the page of imports takes, as it is sent, in MiB. `webhook_allow`: where messages may be sent
    although it is not public, or without TLS.
    """

    service: Literal["branch"] = SERVICE
    location: Annotated[str, AfterValidator(_location)]
    timezone: Annotated[str, AfterValidator(_timezone)] = "UTC"
    day_start: Annotated[str, AfterValidator(_day_start)] = "04:00"
    database: str | None = None
    head_office: HeadOfficeAddress | None = None
    key: SecretStr | None = None
    witness: Path | None = None
    host: str = LOCALHOST
    port: Annotated[int, Field(ge=0, le=65_535)] = DEFAULT_PORT
    trusted_proxies: TrustedProxies = ""
    log_level: str = "INFO"
    webhook_allow: WebhookAllow = ""
    upload_mib: Annotated[int, Field(ge=1, le=65_536)] = 64
    rate_limit_per_second: RateLimit = RATE_LIMIT
    rate_limit_burst: RateBurst = RATE_BURST

    @property
    def database_url(self) -> str:
        if self.database is not None:
            return self.database
        return f"sqlite:///{quote(str(self.dir.absolute() / 'branch.db'))}"

    @property
    def has_database(self) -> bool:
        """Whether `init` created the database. A PostgreSQL one is assumed to exist until a connection fails."""
        if self.database is None:
            return (self.dir / "branch.db").exists()
        parts = urlsplit(self.database)
        return parts.scheme != "sqlite" or Path(unquote(parts.path[1:])).exists()

    @property
    def witness_path(self) -> Path:
        if self.witness is not None:
            return self.witness
        folder = self.dir.absolute()
        return folder.with_name(folder.name + ".witness")

    @property
    def day_start_minutes(self) -> int:
        hours, minutes = self.day_start.split(":")
        return int(hours) * 60 + int(minutes)


def is_directory_given(directory: Path | None) -> bool:
    """Whether a command was told a node's folder, by --dir or LARDER_DIR."""
    return directory is not None or environment("DIR") is not None


def load(directory: Path | None, **flags: Any) -> BranchSettings:
    """The settings of the node in a directory; a flag of None was not given. Raises SettingsError."""
    if not is_directory_given(directory):
        raise SettingsError("which node? Give its folder with --dir, or set LARDER_DIR")
    try:
        return load_settings(BranchSettings, {"dir": directory, **flags})
    except SettingsError as error:
        if directory is not None and not (directory / FILE_NAME).exists() and "'location' is missing" in str(error):
            raise SettingsError(
                f"there is no node in {directory}: run 'larder branch init --dir {directory} --location CODE' first"
            ) from error
        raise
