"""The coordinator's database."""

from __future__ import annotations

from typing import Final

from shared.runtime.postgres.service_database import ServiceDatabase
from transfer_coordinator.database.schema import MIGRATIONS, VERSION_TABLE

DATABASE: Final = ServiceDatabase(
    name="larder_transfer_coordinator",
    migrations=MIGRATIONS,
    version_table=VERSION_TABLE,
    application="larder transfer",
    options={"max_connections": "50"},
)
