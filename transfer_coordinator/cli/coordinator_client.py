"""How a command reaches the coordinator: at an address, at the one that serves --dir, else as one in this process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from pydantic import SecretStr

from shared.runtime.cli.errors import CommandRefused
from shared.runtime.cli.output import print_text
from shared.runtime.cli.service_client import find_running, http_client, in_process_client
from shared.runtime.client import RemoteProblem, ServiceClient, Unreachable
from transfer_coordinator.settings import settings_of

Directory = Annotated[
    Path | None,
    typer.Option("--dir", help="The coordinator's folder. Without it LARDER_DIR, else the only one found here."),
]


@dataclass(frozen=True)
class CoordinatorClient:
    """A client, and how to follow a transfer with it.

    `drive` steps the coordinator where it is in this process, and does nothing where a server steps itself.
    `drive_here`: it is in this process. `poll_seconds`: the longest time between two looks at a transfer.
    """

    client: ServiceClient
    drive: Callable[[], None] = lambda: None
    poll_seconds: float = 1.0
    drive_here: bool = False


@contextmanager
def coordinator(folder: Path | None, url: str | None, key: str | None) -> Iterator[CoordinatorClient]:
    """The coordinator at `url`, else that of `folder`. Raises SettingsError, CommandRefused, errors of a database."""
    if url is not None:
        if key is None:
            raise CommandRefused("a coordinator elsewhere needs a key", "Give --key, one of the group's keys.")
        with http_client(url, key) as client:
            yield CoordinatorClient(client)
        return
    settings = settings_of(folder)
    found = find_running(settings.dir, "/v1/transfers", limit=1)
    if found is not None:
        with http_client(found.url, key or found.key) as client:
            yield CoordinatorClient(client)
        return
    # Imported here, as they bring the whole service along.
    from transfer_coordinator.database.connections import DATABASE
    from transfer_coordinator.main import build

    with DATABASE.opened(settings) as address:
        built = build(settings.model_copy(update={"database_url": SecretStr(address)}))
        warned = False

        def drive() -> None:
            nonlocal warned
            built.worker.step()
            error = built.worker.head_office_error
            if error is not None and not warned:
                warned = True
                print_text(_warning(error), err=True)

        try:
            with in_process_client(built.app, key or built.local_key) as client:
                yield CoordinatorClient(client, drive, 0.1, drive_here=True)
                # The request's first instructions leave before the command ends; the next server continues from there.
                drive()
                built.worker.give_up_leases()
        finally:
            built.close()


def _warning(error: Unreachable | RemoteProblem) -> str:
    if isinstance(error, Unreachable):
        return "Head office cannot be reached; transfers wait until it can."
    return f"Head office refuses the coordinator's requests; transfers wait until it accepts them ({error})."
