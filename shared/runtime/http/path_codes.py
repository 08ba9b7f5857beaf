"""Codes as segments of a path: one that holds a slash is sent as %2F, which ASGI servers undo before anything routes.

`shelter` keeps such slashes apart until the route is found; a parameter declared `{name:code}` has them back.
"""

from __future__ import annotations

from typing import Final
from urllib.parse import unquote

from starlette.convertors import Convertor, register_url_convertor
from starlette.types import Scope

_SLASH: Final = "\ue000"
"""Stands for an encoded slash. A private-use character: no code may hold one."""


def shelter(scope: Scope) -> bool:
    """Keep the path's encoded slashes apart from those between segments; False where the path cannot be one."""
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
