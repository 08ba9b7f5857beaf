"""The handbook's page "connect an order system", at a branch: its commands and its client, run as they stand there."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from shared.runtime.http import running_file
from tests.integration.branch_node.cli.test_commands import Branch
from tests.support.processes import ROOT, start_command

HANDBOOK = ROOT / "deploy" / "handbook" / "order-system.md"
PAGE = HANDBOOK.read_text(encoding="utf-8").partition("\n## At head office\n")[0]
"""Only what concerns a branch: the rest is run by test_source_commands and test_group_orders_page."""
SHELL = re.findall(r"^```sh\n(.*?)^```", PAGE, re.M | re.S)


def commands(block: str) -> list[list[str]]:
    """The commands of a block, without `larder branch`."""
    return [shlex.split(line)[2:] for line in block.splitlines()]


def test_the_page_from_the_source_to_its_end(tmp_path: Path) -> None:
    branch = Branch(tmp_path / "node").with_milk()
    branch.json("record", "delivery", "milk", "20")
    adding, by_hand, ending = SHELL
    with branch.serve():
        running = running_file.read(branch.folder)
        assert running is not None
        add, listing = commands(adding)
        made = branch.json(*add)
        assert [each["source"] for each in branch.json(*listing)["items"]] == ["webshop"]
        assert made["path"] == "/v1/inbound/orders/webshop"
        (program,) = re.findall(r"^`shop.py`:\n\n```python\n(.*?)^```", PAGE, re.M | re.S)
        (tmp_path / "shop.py").write_text(program, encoding="utf-8")
        output = tmp_path / "shop.log"
        words = [sys.executable, str(tmp_path / "shop.py"), running.url, made["path"], made["secret"]]
        with start_command(words, output) as process:
            assert process.wait(60) == 0, output.read_text()
        (said,) = re.findall(r"it prints:\n\n```\n(.*?)^```", PAGE, re.M | re.S)
        assert output.read_text() == said
        stock = branch.json("stock", "milk")
        assert (stock["on_hand"], stock["reserved"]) == (16, 0)
        if all(shutil.which(each) for each in ("bash", "curl", "openssl")):
            environment = {"URL": running.url, "SECRET": made["secret"], "PATH": "/usr/bin:/bin:/usr/local/bin"}
            done = subprocess.run(["bash", "-c", by_hand], env=environment, capture_output=True, check=True)
            assert json.loads(done.stdout)["outcome"] == "noted"
        rotate, remove = commands(ending)
        assert branch.json(*rotate)["secret"] != made["secret"]
        assert branch.json(*remove) == {"source": "webshop"}
        assert branch.json("sources", "list")["items"] == []


@pytest.mark.parametrize(
    ("arguments", "code"), [(("rotate", "nosuch"), "unknown-source"), (("add", "webshop"), "source-exists")]
)
def test_refusals_say_what_to_do(tmp_path: Path, arguments: tuple[str, str], code: str) -> None:
    branch = Branch(tmp_path / "node").with_milk()
    branch.json("sources", "add", "webshop")
    assert code in branch.refused("sources", *arguments)
