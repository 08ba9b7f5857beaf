"""A branch that delivers the messages of a list, as a process of its own: `python -m`, folder, URL, how many."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.support.branch import PLACE
from tests.support.branch_api import a_caller
from tests.support.listed_messages import ADDED, ListedMessages

PATH = "/v1/subscriptions"


def main(folder: Path, url: str, count: int) -> None:
    """Deliver until standard input is closed; the first such process in a folder subscribes the URL."""
    messages = ListedMessages()
    for _ in range(count):
        messages.add(PLACE, ADDED)
    with a_caller(folder, None, messages) as caller:
        part = caller.node.subscriptions
        assert part is not None
        if not caller.get(PATH).json()["items"]:
            assert caller.post(PATH, {"url": url, "after": "start"}).status_code == 201
        part.start()
        sys.stdin.read()
        part.stop()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
