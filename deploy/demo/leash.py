"""A `larder` command on a leash: once its standard input ends it stops as if told to.

The demo that starts it holds the other end, so its services end with it, even where it is killed.
"""

from __future__ import annotations

import os
import signal
import threading

from deploy import cli


def _follow() -> None:
    while os.read(0, 1_024):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    threading.Thread(target=_follow, name="larder-leash", daemon=True).start()
    cli.main()
