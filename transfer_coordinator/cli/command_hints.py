"""What to do at the command line after a problem of the coordinator, where its own hint names addresses of its API."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

HINTS: Final[Mapping[str, str]] = {
    "deadline-passed": "Give a --deadline that is still to come, or none.",
    "key-reused": "Give another --transfer-id, or the very content that it was created with.",
    "mode-not-offered": "Both sites' nodes record it by themselves: the mode is immediate.",
    "no-catalogue": "Nothing was asked of anybody. Give the same command again once head office can be reached.",
    "same-location": "Name two locations.",
    "unknown-item": "Define it with 'larder head-office items add', accept or map it there, or correct the code.",
    "unknown-location": "Add it with 'larder head-office locations add', or correct the code.",
    "unknown-transfer": "'larder transfer list' lists the transfers.",
}
