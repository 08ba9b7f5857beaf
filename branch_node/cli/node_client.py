"""How a command reaches the node: over HTTP where one serves this --dir, else as the node itself, in this process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final
from zoneinfo import ZoneInfo

import typer

from branch_node.settings import BranchSettings, load
from shared.runtime.cli.service_client import find_running, http_client, in_process_client
from shared.runtime.client import ServiceClient
from shared.runtime.settings import SettingsError, command_line

if TYPE_CHECKING:
    from branch_node.node import Node

PATIENCE_SECONDS: Final = 10.0
"""How long a command waits for another process that has this --dir open for writing."""

Directory = Annotated[Path | None, typer.Option("--dir", help="The node's folder (or LARDER_DIR).", show_default=False)]


def serving(directory: Path) -> ServiceClient | None:
    """A client of the node that serves this directory, or None where none answers."""
    found = find_running(directory, "/v1/status")
    return None if found is None else http_client(found.url, found.key)


def node_command(directory: Path | None, *words: str) -> str:
    """A `larder branch` command for this --dir, to be copied to a shell."""
    return command_line("branch", *words, *(() if directory is None else ("--dir", directory)))


@contextmanager
def node_at(directory: Path | None) -> Iterator[ServiceClient]:
    """A client of the node of this directory. Raises SettingsError, AlreadyWriting and what `Node.open` raises."""
    settings = load(directory)
    client = serving(settings.dir)
    if client is not None:
        with client:
            yield client
        return
    with opened(settings) as node, in_process_client(node.app, node.local_key) as client:
        yield client


def zone_of(node: ServiceClient) -> ZoneInfo:
    """The time zone of the node's location, in which its times are shown."""
    return ZoneInfo(node.get("/v1/status")["timezone"])


@contextmanager
def opened(settings: BranchSettings, *, stepped: bool = False) -> Iterator[Node]:
    """The node of these settings in this process, recording; stopped at the end.

    `stepped`: with shipper and puller, for the caller to step.
    """
    # Imported here, as they bring the whole service along: a command that goes over HTTP starts twice as fast.
    from branch_node.main import build
    from branch_node.node import AgentMode

    if not settings.has_database:
        raise SettingsError(f"there is no node in {settings.dir}: run 'larder branch init --dir {settings.dir}' first")
    node = build(settings)
    try:
        node.open(AgentMode.STEPPED if stepped else AgentMode.NONE, patience=PATIENCE_SECONDS)
        node.start()
        yield node
    finally:
        node.stop()
