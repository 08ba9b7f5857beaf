"""Settings of the transfer coordinator: flags, then `LARDER_…`, then `settings.toml` in its --dir."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Final, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr
from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

from shared.runtime.auth import key_id_of
from shared.runtime.server import LOCALHOST
from shared.runtime.settings import (
    FILE_NAME,
    ServiceSettings,
    SettingsError,
    environment,
    load_settings,
    read_settings_file,
)

SERVICE: Final = "transfer-coordinator"
DEFAULT_PORT: Final = 8001
DATABASE: Final = "larder_transfer_coordinator"
"""The name of the database in the embedded PostgreSQL."""


def _postgres(secret: SecretStr) -> SecretStr:
    try:
        backend = make_url(secret.get_secret_value()).get_backend_name()
    except (ArgumentError, ValueError) as error:
        raise ValueError("a database's address is like postgresql://user:password@host/database") from error
    if backend not in {"postgresql", "postgres"}:
        raise ValueError("the coordinator runs on PostgreSQL only: postgresql://user:password@host/database")
    return secret


def _head_office(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment:
        raise ValueError("head office's address is like https://office.example:8000")
    return text.rstrip("/")


def _key(secret: SecretStr) -> SecretStr:
    if key_id_of(secret.get_secret_value()) is None:
        raise ValueError("this is no key; 'larder head-office keys add --role coordinator' prints one")
    return secret


class CoordinatorSettings(ServiceSettings):
    """The coordinator of a group. Without a `database_url` it runs a PostgreSQL of its own in `dir`.

    `key` is its key at head office. `lease_seconds`: how long a transfer waits for a coordinator that was killed.
    """

    service: Literal["transfer-coordinator"] = SERVICE
    head_office: Annotated[str, AfterValidator(_head_office)]
    key: Annotated[SecretStr, AfterValidator(_key)]
    database_url: Annotated[SecretStr, AfterValidator(_postgres)] | None = None
    host: str = LOCALHOST
    port: Annotated[int, Field(ge=0, le=65_535)] = DEFAULT_PORT
    lease_seconds: Annotated[float, Field(ge=1, le=600)] = 10.0
    ask_again_seconds: Annotated[float, Field(ge=0.5, le=3_600)] = 5.0
    log_level: str = "INFO"

    @property
    def postgres_folder(self) -> Path:
        """Where the PostgreSQL of our own keeps its files."""
        return self.dir.absolute() / "postgres"


def postgres_binaries() -> Path | None:
    """LARDER_PG_BIN: the folder of PostgreSQL's programs, or None to look for them."""
    folder = environment("PG_BIN")
    return Path(folder) if folder else None


def settings_of(folder: Path | None, **flags: Any) -> CoordinatorSettings:
    """The settings of the coordinator in `folder`; without one that of LARDER_DIR, else the only one found here.

    Raises SettingsError where there is none, or it was not initialised.
    """
    if folder is None and environment("DIR") is None:
        folder = find_here()
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


def find_here() -> Path | None:
    """The current folder or one in it, where exactly one of them is a coordinator's."""
    here = Path()
    folders = [here, *sorted(each for each in here.iterdir() if (each / FILE_NAME).is_file())]
    found = [each for each in folders if _is_coordinator(each)]
    return found[0] if len(found) == 1 else None


def _is_coordinator(folder: Path) -> bool:
    try:
        return read_settings_file(folder).get("service") == SERVICE
    except SettingsError:
        return False  # somebody else's file of that name
