"""Settings of a service: flags first, then the environment (``LARDER_...``), then ``settings.toml`` in its --dir.

The only module that reads the environment. Errors are one line: which setting is missing or wrong, and what to do.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import stat
import sys
import tomllib
from collections.abc import Mapping
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Any, Final, TypeVar
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, InitSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

from shared.runtime.database_url import database_url

FILE_NAME = "settings.toml"
LOCALHOST: Final = "127.0.0.1"
RATE_LIMIT: Final = 2_000.0
RATE_BURST: Final = 10_000
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")


class SettingsError(Exception):
    """A setting is missing or wrong. Its text is one line to print: which, why, and what to do."""


class ServiceSettings(BaseSettings):
    """Base of a service's settings; ``dir`` holds its settings file, database and logs.

    Read with ``load_settings``. Fields are flat: text, numbers, booleans. Secrets are declared ``SecretStr``. A field
    ``service`` has the service's name as its default; a folder whose file names another one is refused.
    """

    model_config = SettingsConfigDict(env_prefix="LARDER_", extra="forbid", frozen=True, hide_input_in_errors=True)

    dir: Path

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the framework's signature; unused on purpose
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - likewise
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        directory = init_settings().get("dir") or env_settings().get("dir")
        kept = read_settings_file(Path(directory)) if directory else {}
        own = settings_cls.model_fields.get("service")
        if own is not None and (found := kept.get("service", own.default)) != own.default:
            # Checked first: otherwise the other service's settings would be reported as unknown, to be removed.
            raise SettingsError(
                f"{directory} is the folder of another service ({found}): name the right one with --dir"
            )
        return init_settings, env_settings, InitSettingsSource(settings_cls, init_kwargs=kept)


S = TypeVar("S", bound=ServiceSettings)


def load_settings(kind: type[S], flags: Mapping[str, Any]) -> S:
    """The settings of a service; flags that are None were not given. Raises SettingsError."""
    try:
        return kind(**{name: value for name, value in flags.items() if value is not None})
    except ValidationError as error:
        raise SettingsError("; ".join(_explain(kind, found) for found in error.errors())) from error


def _explain(kind: type[ServiceSettings], found: Any) -> str:
    if not found["loc"]:
        return f"the settings are wrong: {str(found['msg']).removeprefix('Value error, ')}"
    name = ".".join(str(part) for part in found["loc"])
    flag, variable = "--" + name.replace("_", "-"), "LARDER_" + name.upper()
    if found["type"] == "missing":
        return f"the setting {name!r} is missing: give {flag}, set {variable}, or add it to {FILE_NAME} in --dir"
    if found["type"] == "extra_forbidden":
        known = ", ".join(sorted(kind.model_fields))
        return f"there is no setting {name!r}: remove it from {FILE_NAME}; known are {known}"
    return f"the setting {name!r} is wrong ({found['msg']}): correct {flag}, {variable} or {FILE_NAME} in --dir"


RateLimit = Annotated[float, Field(ge=0.1, le=1_000_000)]
"""How many requests a second each key may make in the long run."""

RateBurst = Annotated[int, Field(ge=1, le=1_000_000)]
"""How many requests a key may make at once after a rest."""


def _web_address(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment:
        raise ValueError("head office's address is like https://office.example:8000")
    return text.rstrip("/")


HeadOfficeAddress = Annotated[str, AfterValidator(_web_address)]


def _addresses(text: str) -> str:
    for each in text.split(",") if text else ():
        ip_network(each.strip())  # ValueError says what it is not
    return text


TrustedProxies = Annotated[str, AfterValidator(_addresses)]
"""IP addresses or networks, with commas between them, of proxies whose X-Forwarded-For and -Proto are believed."""

WebhookAllow = Annotated[str, AfterValidator(_addresses)]
"""IP addresses or networks, with commas between them, that messages may be sent to although they are not public; they
may be sent there without TLS, too."""


def _postgres(secret: SecretStr) -> SecretStr:
    if database_url(secret.get_secret_value()).get_backend_name() not in {"postgresql", "postgres"}:
        raise ValueError("this runs on PostgreSQL only: postgresql://user:password@host/database")
    return secret


PostgresAddress = Annotated[SecretStr, AfterValidator(_postgres)]
"""The address of a PostgreSQL; several hosts are tried in turn: `postgresql://user:password@h1:p1,h2:p2/database`."""


class PostgresSettings(ServiceSettings):
    """Base of the settings of a service on PostgreSQL; without a `database_url` it runs an embedded one in `dir`.

    `prepared_statements` is switched off where connections go through a pooler that cannot keep them.
    """

    database_url: PostgresAddress | None = None
    prepared_statements: bool = True

    @property
    def postgres_folder(self) -> Path:
        """The folder of the embedded PostgreSQL."""
        return self.dir.absolute() / "postgres"


def postgres_binaries() -> Path | None:
    """LARDER_PG_BIN: the folder of PostgreSQL's programs, or None to look for them."""
    folder = environment("PG_BIN")
    return Path(folder) if folder else None


def command_line(*words: object) -> str:
    """A `larder` command to be copied to a shell: the program as this process was started, and the words, quoted."""
    return shlex.join([_program(), *map(str, words)])


def _program() -> str:
    called = Path(sys.argv[0])
    found = shutil.which("larder")
    if called.name != "larder" or (found is not None and Path(found).absolute() == called.absolute()):
        return "larder"
    return str(called)


def find_here(service: str) -> Path | None:
    """The current folder or one in it, if exactly one of them is a folder of this service; else None."""
    here = Path()
    folders = [here, *sorted(each for each in here.iterdir() if (each / FILE_NAME).is_file())]
    found = [each for each in folders if _is_of(service, each)]
    return found[0] if len(found) == 1 else None


def _is_of(service: str, folder: Path) -> bool:
    try:
        return read_settings_file(folder).get("service") == service
    except SettingsError:
        return False  # another program's file of that name


def read_settings_file(directory: Path) -> dict[str, Any]:
    """The values of ``settings.toml`` in this directory; empty where the file is missing. Raises SettingsError."""
    path = directory / FILE_NAME
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            if os.name == "posix" and mode & 0o077:
                raise SettingsError(f"{path} may be read by others (mode {mode:04o}): run 'chmod 600 {path}'")
            return tomllib.load(file)
    except FileNotFoundError:
        return {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} is not TOML ({error}): correct it, or remove it and run init again") from error
    except OSError as error:
        raise SettingsError(f"{path} cannot be read ({error.strerror}): check who owns it") from error


def write_settings_file(directory: Path, values: Mapping[str, str | int | float | bool | None]) -> Path:
    """Write ``settings.toml`` (mode 0600) whole or not at all; None values are left out. The directory is made 0700."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = directory / FILE_NAME
    lines = [f"{_key(name)} = {_toml(value)}" for name, value in values.items() if value is not None]
    text = "\n".join(["# Read at start; flags and LARDER_... in the environment come before it.", *lines, ""])
    draft = path.with_suffix(".new")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(descriptor, "w", encoding="utf-8") as file:  # noqa: PTH123 - a descriptor, not a path
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
    return path


def _key(name: str) -> str:
    if not _BARE_KEY.fullmatch(name):
        raise ValueError(f"{name!r} cannot be the name of a setting")
    return name


def _toml(value: str | float | bool) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    # A JSON string is a TOML basic string, except for U+007F, which TOML requires escaped.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def environment(name: str) -> str | None:
    """``LARDER_<name>``, or None where unset or empty: for values needed before a service loads its settings."""
    return os.environ.get("LARDER_" + name) or None
