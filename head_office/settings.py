"""Settings of head office: flags, then `LARDER_…`, then `settings.toml` in its --dir."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, Field, SecretStr
from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

from shared.runtime.server import LOCALHOST
from shared.runtime.settings import (
    FILE_NAME,
    ServiceSettings,
    SettingsError,
    environment,
    load_settings,
    read_settings_file,
)

SERVICE: Final = "head-office"
DEFAULT_PORT: Final = 8000
DATABASE: Final = "larder_head_office"
"""The name of the database in the embedded PostgreSQL."""


def _postgres(secret: SecretStr) -> SecretStr:
    try:
        backend = make_url(secret.get_secret_value()).get_backend_name()
    except (ArgumentError, ValueError) as error:
        raise ValueError("a database's address is like postgresql://user:password@host/database") from error
    if backend not in {"postgresql", "postgres"}:
        raise ValueError("head office runs on PostgreSQL only: postgresql://user:password@host/database")
    return secret


class HeadOfficeSettings(ServiceSettings):
    """Head office of a group. Without a `database_url` it runs a PostgreSQL of its own in `dir`.

    `threads` work on requests, with a database connection each; `ingests` of them at most take in batches at a time.
    """

    service: Literal["head-office"] = SERVICE
    database_url: Annotated[SecretStr, AfterValidator(_postgres)] | None = None
    host: str = LOCALHOST
    port: Annotated[int, Field(ge=0, le=65_535)] = DEFAULT_PORT
    threads: Annotated[int, Field(ge=2, le=200)] = 16
    ingests: Annotated[int, Field(ge=1, le=100)] = 4
    log_level: str = "INFO"

    @property
    def postgres_folder(self) -> Path:
        """Where the PostgreSQL of our own keeps its files."""
        return self.dir.absolute() / "postgres"


def postgres_binaries() -> Path | None:
    """LARDER_PG_BIN: the folder of PostgreSQL's programs, or None to look for them."""
    folder = environment("PG_BIN")
    return Path(folder) if folder else None


def settings_of(folder: Path | None, **flags: Any) -> HeadOfficeSettings:
    """The settings of the head office in `folder`; without one that of LARDER_DIR, else the only one found here.

    Raises SettingsError where there is none, or it was not initialised.
    """
    if folder is None and environment("DIR") is None:
        folder = find_here()
        if folder is None:
            raise SettingsError("which head office? Give --dir, or set LARDER_DIR")
    settings = load_settings(HeadOfficeSettings, {"dir": folder, **flags})
    if settings.database_url is None and not (settings.dir / FILE_NAME).exists():
        raise SettingsError(
            f"{settings.dir} is no head office yet: run 'larder head-office init --dir {settings.dir}' first"
        )
    return settings


def find_here() -> Path | None:
    """The current folder or one in it, where exactly one of them is a head office's."""
    here = Path()
    folders = [here, *sorted(each for each in here.iterdir() if (each / FILE_NAME).is_file())]
    found = [each for each in folders if _is_office(each)]
    return found[0] if len(found) == 1 else None


def _is_office(folder: Path) -> bool:
    try:
        return read_settings_file(folder).get("service") == SERVICE
    except SettingsError:
        return False  # somebody else's file of that name
