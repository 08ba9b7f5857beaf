"""Settings of head office: flags, then `LARDER_…`, then `settings.toml` in its --dir."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

from pydantic import AfterValidator, Field, SecretStr
from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

from shared.runtime.server import LOCALHOST
from shared.runtime.settings import ServiceSettings, environment

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
