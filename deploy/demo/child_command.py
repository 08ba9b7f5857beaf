"""A `larder` command that ends with its parent: it stops, as at SIGTERM, once its standard input ends.

The demo that starts it holds the other end of the pipe, so its services end with it, even where it is killed.
"""

from __future__ import annotations

import os
import signal
import threading

from deploy import cli


def _stop_at_end_of_input() -> None:
    while os.read(0, 1_024):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    threading.Thread(target=_stop_at_end_of_input, name="larder-parent-watch", daemon=True).start()
    cli.main()
