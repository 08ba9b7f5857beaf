"""A node that is killed while a receiver has a message and has not answered yet: real processes, real SIGKILL."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.support.hook_receiver import HookReceiver, Received, Reply
from tests.support.processes import ROOT

COUNT = 120
KILLED_AT = (1, 57, 99)
"""Which requests end their sender, counted over all that came."""


def test_killed_between_the_message_and_its_note(tmp_path: Path) -> None:
    running: list[subprocess.Popen[bytes]] = []

    def answer(_received: Received) -> Reply:
        if len(receiver.received) + 1 in KILLED_AT:
            running[-1].kill()
            running[-1].wait()
        return Reply()

    with HookReceiver(answer) as receiver:
        try:
            for _ in range(len(KILLED_AT) + 1):
                command = [
                    sys.executable,
                    "-m",
                    "tests.support.delivering_process",
                    str(tmp_path),
                    receiver.url,
                    str(COUNT),
                ]
                running.append(subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE))
                if len(running) <= len(KILLED_AT):
                    running[-1].wait(60)
            numbers: list[int] = []
            wanted = COUNT
            while not numbers or numbers[-1] < wanted:
                found = receiver.wait_for(len(numbers) + 1)
                numbers = [int(each.message_id[:8], 16) for each in found]
        finally:
            for each in running:
                if each.poll() is None:
                    each.communicate(timeout=30)
    first_seen = list(dict.fromkeys(numbers))
    assert first_seen == list(range(1, COUNT + 1)), "nothing is lost, and nothing overtakes"
    assert len(numbers) > COUNT, "what was not noted is sent again"
    again = [place for place in range(1, len(numbers)) if numbers[place] != numbers[place - 1] + 1]
    assert len(again) == len(KILLED_AT), "only where the sender was killed"
    bodies = {(each.message_id, each.body) for each in receiver.received}
    assert len(bodies) == COUNT, "under the same id the same message"
