"""Codes as path segments: a slash in a code is sent as %2F, which ASGI servers decode before routing.

`protect_slashes` replaces such slashes until the route is found; a parameter declared `{name:code}` restores them.
"""

from __future__ import annotations

from typing import Final
from urllib.parse import unquote

from starlette.convertors import Convertor, register_url_convertor
from starlette.types import Scope

_SLASH: Final = "\ue000"
"""Stands for an encoded slash. A private-use character: no code may hold one."""


def protect_slashes(scope: Scope) -> bool:
    """Replace encoded slashes in the path by a placeholder; False where the path holds the placeholder itself."""
    if _SLASH in scope["path"]:
        return False
    raw = scope.get("raw_path") or b""
    if b"%2" in raw and (b"%2F" in raw or b"%2f" in raw):
        segments = raw.partition(b"?")[0].decode("ascii", "replace").split("/")
        scope["path"] = "/".join(unquote(segment).replace("/", _SLASH) for segment in segments)
    return True


class _Code(Convertor[str]):
    regex = "[^/]+"

    def convert(self, value: str) -> str:
        return value.replace(_SLASH, "/")

    def to_string(self, value: str) -> str:
        return value.replace("/", "%2F")


# Routes are compiled where they are declared, which may be before any application is made.
register_url_convertor("code", _Code())
