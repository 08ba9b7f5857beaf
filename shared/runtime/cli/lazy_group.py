"""A group of commands that imports the module of a command only when that command is called."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any, ClassVar

import typer
from typer.core import TyperCommand, TyperGroup

CommandTable = Mapping[str, tuple[str, str]]
"""Command name to (place, line in --help). A place is `module:name` of a function or Typer, or a module with `app`."""


class LazyGroup(TyperGroup):
    """A group whose commands are listed by name and help line. A subclass sets `lazy_commands`."""

    lazy_commands: ClassVar[CommandTable] = {}

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        for name, (_, help_line) in self.lazy_commands.items():
            self.add_command(TyperCommand(name, help=help_line))

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        for word in args:
            check_utf8(word)
        return super().parse_args(ctx, args)

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        name, command, rest = super().resolve_command(ctx, args)
        if name is not None and name in self.lazy_commands:
            command = load_command(name, self.lazy_commands[name][0])
        return name, command, rest


def check_utf8(word: str) -> None:
    """Raise BadParameter (exit code 2) for a word that was not UTF-8: no database and no JSON can hold it."""
    try:
        word.encode()
    except UnicodeEncodeError:
        shown = word.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
        raise typer.BadParameter(f"the word '{shown}' is not UTF-8") from None


def load_command(name: str, place: str) -> Any:
    """The Click command at a place of a `CommandTable`; imports its module."""
    module, _, attribute = place.partition(":")
    found = getattr(import_module(module), attribute or "app")
    if not isinstance(found, typer.Typer):
        function, found = found, typer.Typer(add_completion=False)
        found.command(name)(function)
    return typer.main.get_command(found)
