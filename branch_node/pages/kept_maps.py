"""The maps of imports that a node keeps: TOML files in the folder `maps` of its directory, named by their source."""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path
from typing import Final

from branch_node.imports.mapping.import_map import ImportMap
from branch_node.imports.mapping.map_parser import MAX_MAP_BYTES, MapError
from branch_node.imports.source_file import FileRefused

FOLDER: Final = "maps"
SUFFIX: Final = ".toml"
MOST_MAPS: Final = 200
"""Maps that are offered."""


class KeptMaps:
    """The maps in a node's folder. A person may put some there by hand, and the files that they look up beside them."""

    def __init__(self, directory: Path) -> None:
        self.folder = directory / FOLDER

    def names(self) -> list[str]:
        """The names of the maps, without `.toml`, in order."""
        try:
            found = [each.name for each in self.folder.iterdir() if each.name.endswith(SUFFIX) and each.is_file()]
        except OSError:
            return []  # nothing was kept yet
        return sorted(name.removesuffix(SUFFIX) for name in found)[:MOST_MAPS]

    def read(self, name: str) -> bytes:
        """The text of a map. Raises MapError where there is none of this name."""
        if name not in self.names():
            raise MapError(f"{name[:100]}: no map of this name is kept")
        try:
            with (self.folder / f"{name}{SUFFIX}").open("rb") as file:
                return file.read(MAX_MAP_BYTES + 1)
        except OSError as error:
            raise MapError(f"{name}{SUFFIX}: cannot be read ({error.strerror})") from error

    def keep(self, found: ImportMap, text: bytes) -> None:
        """Keep a map under the name of its source, in place of the one before. Raises OSError."""
        self.folder.mkdir(mode=0o700, exist_ok=True)
        draft = self.folder / f".{secrets.token_hex(8)}.draft"
        try:
            descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with open(descriptor, "wb") as file:  # noqa: PTH123 - a descriptor
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            draft.replace(self.folder / f"{found.source}{SUFFIX}")
        finally:
            with contextlib.suppress(OSError):
                draft.unlink(missing_ok=True)

    def provide_lookups(self, found: ImportMap, folder: Path) -> None:
        """Put the files that a map looks up into a folder, as links. Raises FileRefused.

        Only files of this folder: a map that somebody uploads may not name any other file of the machine.
        """
        for lookup in found.lookup.values():
            name = lookup.file
            if name in {"", ".", ".."} or "/" in name or "\\" in name or "\0" in name:
                raise FileRefused(f"{name[:100]!r} of a lookup is not the name of a file in the node's folder {FOLDER}")
            if not (self.folder / name).is_file():
                raise FileRefused(f"{name[:100]!r} of a lookup is not in the node's folder {FOLDER}: put it there")
            link = folder / name
            if not link.is_symlink():
                if link.exists():
                    raise FileRefused(
                        f"{name[:100]!r} is the name of a file that the map looks up, too: rename the file"
                    )
                link.symlink_to((self.folder / name).resolve())
