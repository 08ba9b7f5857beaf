"""Keeps the layout: who may import whom, which modules there are, who reads the environment, how long a file may be.

Every rule is a function of a folder that returns the breaches it finds; it is tried on a small bad tree first, so that
a rule that finds nothing is known to be able to.
"""

import ast
import fnmatch
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.processes import ROOT

SERVICES = ("branch_node", "head_office", "transfer_coordinator")
PACKAGES = ("shared", *SERVICES, "deploy")
# Closed lists. A new module is added here on purpose, by somebody who has looked for its home in the old ones.
SHARED = {
    "catalogue_messages", "chain", "checked_fields", "code_sums", "event_log", "event_record", "events", "levels",
    "messages", "orders", "outbox", "periods", "problem_kinds", "projection", "purchases", "reservations", "stock",
    "stock_expressions", "subscriptions", "transfers", "wire",
}  # fmt: skip
RUNTIME = {
    "business_days", "client", "clock", "database_url", "garbage", "problems", "retry", "settings", "telemetry",
    "timers", "text", "http", "database", "postgres", "cli", "pages", "webhooks", "mail",
}  # fmt: skip
# For each package its folders and the modules beside them, from what everything else may use up to what uses everything
# else. A line may import from the lines above it and from itself; folders of one line do not import each other.
LAYERS: dict[str, tuple[tuple[str, ...], ...]] = {
    "shared": (
        ("runtime",),
        ("events", "problem_kinds"),
        ("checked_fields", "event_record"),
        ("levels",),
        ("purchases",),
        ("chain", "messages", "stock"),
        ("catalogue_messages",),
        ("code_sums", "event_log", "reservations", "stock_expressions", "transfers", "wire"),
        ("periods", "projection"),
        ("orders", "outbox"),
        ("subscriptions",),
    ),
    "shared/levels": (("reorder_levels",), ("level_columns", "level_record")),
    "shared/runtime": (
        ("database_url",),
        ("clock", "garbage", "problems", "retry", "settings", "telemetry", "text"),
        ("business_days", "client", "database", "mail", "webhooks"),
        ("http", "postgres", "timers"),
        ("cli", "pages"),
    ),
    "branch_node": (
        ("problems", "settings"),
        ("records",),
        ("model",),
        ("order_states", "reservation_events"),
        ("database",),
        ("commands", "writer"),
        ("clock", "writer_database"),
        ("imports", "sync", "subscriptions"),
        ("metrics",),
        ("node",),
        ("api",),
        ("pages",),
        ("main",),
        ("cli",),
    ),
    "head_office": (
        ("problems", "settings"),
        ("database",),
        ("catalogue", "log"),
        ("transfers",),
        ("reports",),
        ("reservations",),
        ("problem_translation",),
        ("office_transactions",),
        ("orders", "subscriptions"),
        ("api",),
        ("pages",),
        ("main",),
        ("cli",),
    ),
    "transfer_coordinator": (
        ("problems", "settings"),
        ("saga",),
        ("database",),
        ("office",),
        ("worker",),
        ("api",),
        ("main",),
        ("cli",),
    ),
}
MOST_MODULES = 16
# A name stands for one thing in the whole product. These stand in several services for the same thing, each its own.
SAME_IN_EACH_SERVICE = {
    "main": "puts the service together and runs it",
    "settings": "its settings, the only reader of the environment",
    "problems": "the problems that it answers",
    "schema": "the tables of its database",
    "connections": "opens its database",
    "env": "alembic's entry",
    "app": "its Typer application",
    "api_keys": "the API keys that it issues or knows",
    "dependencies": "what its routes need of a request",
    "explanations": "a balance taken apart, at a branch and at head office",
    "verification": "whether its log and its projections are whole, at a branch and at head office",
    "body_examples": "an example of every body that it reads, for its documentation",
    "command_hints": "what to do at its command line after one of its problems",
    "message_routes": "the routes of the messages that a log publishes, at a branch and at head office",
    "item_commands": "the commands `items` of its command line",
    "level_commands": "the commands `levels` of its command line",
    "level_routes": "the routes of reorder levels",
    "reservation_routes": "the routes of reservations",
    "source_access": "who may say which systems tell it of orders",
    "source_commands": "the commands `sources` of its command line",
    "subscriber_access": "who may subscribe to its messages",
    "published_messages": "where its messages are read from",
    "subscription_commands": "the commands `subscriptions` of its command line",
    "setup_commands": "the commands `init` and `serve` of its command line",
    "key_commands": "the commands `keys` of its command line",
    "key_routes": "the routes of its keys",
    "page_routes": "the routes of its pages",
    "page_views": "what its pages show, as text",
}
SAME_CLASSES: dict[str, str] = {}
TOP_LEVEL = {
    *PACKAGES,
    *("tests", ".ci", ".gitignore", "Makefile", "pyproject.toml", "requirements.lock", "requirements-run.lock"),
    *("README.md", "LICENSE", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md"),
}
# What tools leave behind; .gitignore keeps it out of the repository.
TOOLS = (".hypothesis", ".schemathesis", ".*_cache", "__pycache__")
LEFT_BEHIND = (".git", ".venv", "build", "dist", "*.egg-info", *TOOLS)
LEFT_BEHIND_BY_US = ("larder-demo", "bench-results*.json")
# Besides every settings.py: what PostgreSQL's programs are given of our environment.
READS_ENVIRONMENT = {"shared/runtime/postgres/binaries.py"}
# The first neutralises cells, so that no spreadsheet runs them; the second writes a copy that nobody else sees.
WRITE_CSV = {"shared/runtime/text/csv_writer.py", "branch_node/imports/files/sheet_rows.py"}
LONGEST = 400


def layer(module: str) -> str | None:
    """Which part of the project a module belongs to; None for one that is not ours."""
    if module == "shared.runtime" or module.startswith("shared.runtime."):
        return "shared.runtime"
    top = module.split(".", maxsplit=1)[0]
    return top if top in {*PACKAGES, "tests"} else None


MAY_IMPORT = {
    "shared.runtime": {"shared.runtime"},
    "shared": {"shared", "shared.runtime"},
    **{service: {service, "shared", "shared.runtime"} for service in SERVICES},
    "deploy": {*PACKAGES, "shared.runtime"},
}


def sources(root: Path) -> Iterator[tuple[str, Path]]:
    """Every file of the five packages, with its module's name."""
    for package in PACKAGES:
        for path in sorted((root / package).rglob("*.py")):
            parts = path.relative_to(root).with_suffix("").parts
            yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts), path


def imported(module: str, path: Path) -> Iterator[tuple[int, str]]:
    """The line and full name of everything that the file imports, anywhere in it."""
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*above, base] if base else above)
            yield from ((node.lineno, f"{base}.{alias.name}") for alias in node.names)
        elif isinstance(node, ast.Call) and _called(node) in {"import_module", "__import__"}:
            yield from ((node.lineno, each.value) for each in node.args[:1] if isinstance(each, ast.Constant))  # type: ignore[misc]


def _called(node: ast.Call) -> str:
    if isinstance(node.func, ast.Attribute):
        return node.func.attr
    return node.func.id if isinstance(node.func, ast.Name) else ""


def wrong_imports(root: Path) -> list[str]:
    breaches = []
    for module, path in sources(root):
        own = layer(module)
        assert own is not None
        for line, name in imported(module, path):
            target = layer(name)
            if target is not None and target not in MAY_IMPORT[own]:
                breaches.append(f"{path.relative_to(root)}:{line} imports {name}")
    return breaches


def room(package: str, module: str) -> str:
    """The folder of a package, or the module beside its folders, that a dotted name is in; empty: none."""
    parts = module.split(".")[len(package.split("/")) :]
    return parts[0] if parts else ""


def against_the_layers(root: Path) -> list[str]:
    """Imports from a lower layer to a higher one, or between two rooms of one layer: without any there is no circle."""
    breaches = []
    for package, layers in LAYERS.items():
        place = {name: number for number, layer in enumerate(layers) for name in layer}
        dotted = package.replace("/", ".")
        for module, path in sources(root):
            own = room(package, module) if module.startswith(f"{dotted}.") else ""
            if not own:
                continue
            if own not in place:
                breaches.append(f"{path.relative_to(root)} is in no layer of {package}")
                continue
            for line, name in imported(module, path):
                target = room(package, name) if name.startswith(f"{dotted}.") else own
                if target in place and target != own and place[target] >= place[own]:
                    breaches.append(f"{path.relative_to(root)}:{line} imports {name}, {own} may not import {target}")
    return breaches


def crowded_folders(root: Path) -> list[str]:
    """Folders with more modules than a person takes in at a glance. Migrations are a history, not modules."""
    counts: dict[Path, int] = {}
    for _, path in sources(root):
        if path.name != "__init__.py" and path.parent.name != "versions":
            counts[path.parent] = counts.get(path.parent, 0) + 1
    return [
        f"{folder.relative_to(root)} has {count} modules" for folder, count in counts.items() if count > MOST_MODULES
    ]


def unexplained_folders(root: Path) -> list[str]:
    """Folders whose `__init__.py` does not say in a sentence what belongs there, or does more than that."""
    breaches = []
    for folder in sorted({path.parent for _, path in sources(root)}):
        if "migrations" in folder.parts:
            continue
        init = folder / "__init__.py"
        body = ast.parse(init.read_text()).body if init.exists() else []
        if len(body) != 1 or not (
            isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant) and body[0].value.value
        ):
            breaches.append(f"{folder.relative_to(root)}/__init__.py is not one sentence")
    return breaches


def names_with_two_meanings(root: Path) -> list[str]:
    """Module and class names that stand twice in the product, but for those above; and those that are above in vain."""
    modules: dict[str, list[str]] = {}
    classes: dict[str, list[str]] = {}
    for _, path in sources(root):
        relative = path.relative_to(root).as_posix()
        if path.name != "__init__.py" and path.parent.name != "versions":
            modules.setdefault(path.stem, []).append(relative)
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.ClassDef):
                classes.setdefault(node.name, []).append(relative)
    return [
        f"{name} is the name of {', '.join(places)}"
        for names, allowed in ((modules, SAME_IN_EACH_SERVICE), (classes, SAME_CLASSES))
        for name, places in sorted(names.items())
        if len(places) > 1 and name not in allowed
    ]


def unmirrored_tests(root: Path) -> list[str]:
    """Tests in a folder that is no folder of the product: they mirror what they test."""
    breaches = []
    for kind in ("unit", "integration"):
        for path in sorted((root / "tests" / kind).rglob("test_*.py")):
            folder = path.parent.relative_to(root / "tests" / kind)
            if folder.parts[:1] not in {(), ("support",)} and not (root / folder / "__init__.py").exists():
                breaches.append(f"{path.relative_to(root)} tests {folder}, which is no folder of the product")
    return breaches


def unknown_modules(root: Path) -> list[str]:
    breaches = []
    for folder, known in ((root / "shared", SHARED | {"runtime"}), (root / "shared" / "runtime", RUNTIME)):
        for path in sorted(folder.iterdir()):
            if path.name not in {"__init__.py", "__pycache__"} and path.stem not in known:
                breaches.append(f"{path.relative_to(root)} is not on the closed list")
        breaches.extend(
            f"{folder.relative_to(root)}/{name} is on the closed list only"
            for name in sorted(known)
            if not (folder / f"{name}.py").exists() and not (folder / name / "__init__.py").exists()
        )
    return breaches


def unknown_at_the_top(root: Path) -> list[str]:
    left = (*LEFT_BEHIND, *LEFT_BEHIND_BY_US)
    return [
        f"{path.name} does not belong at the top"
        for path in sorted(root.iterdir())
        if path.name not in TOP_LEVEL and not any(fnmatch.fnmatch(path.name, pattern) for pattern in left)
    ]


def environment_reads(root: Path) -> list[str]:
    """Uses of os.environ and its kin, and of options that a command line library fills from there."""
    names = {"environ", "environb", "getenv", "getenvb"}
    breaches = []
    for _, path in sources(root):
        relative = path.relative_to(root).as_posix()
        if path.name == "settings.py" or relative in READS_ENVIRONMENT:
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute):
                reads = node.attr in names
            elif isinstance(node, ast.ImportFrom):
                reads = node.module == "os" and any(alias.name in names for alias in node.names)
            else:
                reads = isinstance(node, ast.keyword) and node.arg == "envvar"
            if reads:
                breaches.append(f"{relative}:{node.lineno} reads the environment")  # type: ignore[attr-defined]
    return breaches


def csv_written_elsewhere(root: Path) -> list[str]:
    """Uses of the csv module's writers outside the product's own."""
    names = {"writer", "DictWriter"}
    breaches = []
    for _, path in sources(root):
        relative = path.relative_to(root).as_posix()
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute):
                writes = node.attr in names and isinstance(node.value, ast.Name) and node.value.id == "csv"
            else:
                writes = isinstance(node, ast.ImportFrom) and node.module == "csv"
            if writes and relative not in WRITE_CSV:
                breaches.append(f"{relative}:{node.lineno} writes CSV")  # type: ignore[attr-defined]
    return breaches


def lost_paths(root: Path) -> list[str]:
    """Files and folders that a document names in backticks and that are not there."""
    breaches = []
    for document in ("README.md", "CONTRIBUTING.md", "SECURITY.md"):
        text = (root / document).read_text() if (root / document).exists() else ""
        for name in re.findall(rf"`((?:{'|'.join((*PACKAGES, 'tests'))})/[\w/.-]*)`", text):
            if not (root / name).exists():
                breaches.append(f"{document} names {name}")
    return breaches


def long_files(root: Path) -> list[str]:
    lengths = ((path, len(path.read_text().splitlines())) for _, path in sources(root))
    return [f"{path.relative_to(root)} has {length} lines" for path, length in lengths if length > LONGEST]


RULES = (
    wrong_imports,
    against_the_layers,
    unknown_modules,
    crowded_folders,
    unexplained_folders,
    names_with_two_meanings,
    unmirrored_tests,
    unknown_at_the_top,
    environment_reads,
    csv_written_elsewhere,
    long_files,
    lost_paths,
)


@pytest.mark.parametrize("rule", RULES)
def test_the_project_keeps(rule) -> None:
    assert rule(ROOT) == []


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A small project in which all is well."""
    for package in (*PACKAGES, "shared/runtime"):
        (tmp_path / package).mkdir(exist_ok=True)
        (tmp_path / package / "__init__.py").write_text('"""What belongs here."""')
    for folder, names, text in (
        (Path("shared"), SHARED, "from shared.runtime import clock\n"),
        (Path("shared/runtime"), RUNTIME, "import os\nfrom . import {}\n"),
    ):
        for name in names:
            if (ROOT / folder / name).is_dir():
                (tmp_path / folder / name).mkdir()
                (tmp_path / folder / name / "__init__.py").write_text('"""What belongs here."""')
            else:
                (tmp_path / folder / f"{name}.py").write_text(text.format(name))
    for service in SERVICES:
        (tmp_path / service / "main.py").write_text("from shared import events\nfrom . import problems\nimport httpx\n")
    (tmp_path / "deploy" / "demo.py").write_text("import branch_node.api, head_office\n")
    (tmp_path / "shared" / "runtime" / "settings.py").write_text("import os\nHERE = os.environ\n")
    (tmp_path / "README.md").write_text("")
    (tmp_path / ".ruff_cache").mkdir()
    return tmp_path


@pytest.mark.parametrize("rule", RULES)
def test_a_good_tree_passes(rule, tree: Path) -> None:
    assert rule(tree) == []


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("branch_node/api/router.py", "import head_office.api"),
        ("branch_node/api/router.py", "def later():\n    from transfer_coordinator import saga"),
        ("head_office/pages/views.py", "from deploy.cli import main"),
        (
            "transfer_coordinator/api/transfer_routes.py",
            "import importlib\nimportlib.import_module('branch_node.api.router')",
        ),
        ("head_office/api.py", "from tests.support import waiting"),
        ("shared/stock.py", "import branch_node"),
        ("shared/stock.py", "from deploy import cli"),
        ("shared/runtime/http/auth.py", "from shared import events"),
        ("shared/runtime/http/auth.py", "import shared.events"),
        ("shared/runtime/http/auth.py", "from ... import events"),
        ("shared/runtime/__init__.py", "from ..events import Event"),
        ("shared/runtime/http/auth.py", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import head_office"),
    ],
)
def test_a_wrong_import_is_found(tree: Path, path: str, line: str) -> None:
    (tree / path).parent.mkdir(exist_ok=True)
    (tree / path).write_text(line)
    (breach,) = wrong_imports(tree)
    assert breach.startswith(path)


@pytest.mark.parametrize(
    ("path", "line", "breach"),
    [
        (
            "branch_node/database/store.py",
            "from branch_node.commands.orders import RecordOrder",
            "may not import commands",
        ),
        ("branch_node/database/store.py", "from branch_node import node", "may not import node"),
        ("branch_node/model.py", "def later():\n    import branch_node.writer.writer", "may not import writer"),
        ("branch_node/imports/row_reader.py", "from ..sync import shipper", "may not import sync"),
        ("head_office/cli/app.py", "from head_office.cli import support\nimport head_office.problems", None),
        ("head_office/log/ingest.py", "from head_office.catalogue import items", "may not import catalogue"),
        ("shared/runtime/http/auth.py", "from shared.runtime.cli import output", "may not import cli"),
        ("transfer_coordinator/saga/saga.py", "import transfer_coordinator.database.lease", "may not import database"),
        ("transfer_coordinator/helpers.py", "", "is in no layer"),
        ("head_office/things/one.py", "", "is in no layer"),
    ],
)
def test_an_import_against_the_layers_is_found(tree: Path, path: str, line: str, breach: str | None) -> None:
    (tree / path).parent.mkdir(exist_ok=True)
    (tree / path).write_text(line)
    found = against_the_layers(tree)
    assert [breach in each for each in found] == [True] if breach else found == []


def test_a_command_of_head_office_may_not_import_a_route() -> None:
    """Both use what lies below; `cli` is above `api` only because `main` and its serve command are."""
    routes = [
        f"{path.name}:{line} imports {name}"
        for module, path in sources(ROOT)
        if module.startswith("head_office.cli")
        for line, name in imported(module, path)
        if name.startswith(("head_office.api", "head_office.pages"))
    ]
    assert routes == []


def test_a_crowded_folder_is_found(tree: Path) -> None:
    (tree / "head_office" / "log").mkdir()
    for number in range(MOST_MODULES + 1):
        assert crowded_folders(tree) == []
        (tree / "head_office" / "log" / f"module_{number}.py").write_text("")
    assert crowded_folders(tree) == [f"head_office/log has {MOST_MODULES + 1} modules"]


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("head_office/ingest/stock.py", ""),
        ("head_office/api/branch.py", "class Cursor: ..."),
        ("head_office/pages/events.py", ""),
    ],
)
def test_a_name_with_two_meanings_is_found(tree: Path, path: str, text: str) -> None:
    (tree / "branch_node" / "cursors.py").write_text("class Cursor: ...")
    (tree / path).parent.mkdir(exist_ok=True)
    (tree / path).write_text(text)
    (breach,) = names_with_two_meanings(tree)
    assert path in breach


def test_a_name_is_allowed_twice_only_where_it_stands_twice() -> None:
    modules = [path.stem for _, path in sources(ROOT)]
    assert [name for name in SAME_IN_EACH_SERVICE if modules.count(name) < 2] == []
    classes = [
        node.name
        for _, path in sources(ROOT)
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.ClassDef)
    ]
    assert [name for name in SAME_CLASSES if classes.count(name) < 2] == []


def test_a_test_elsewhere_is_found(tree: Path) -> None:
    for folder in ("tests/unit/shared", "tests/unit", "tests/integration/support", "tests/unit/head_office/things"):
        (tree / folder).mkdir(parents=True, exist_ok=True)
        (tree / folder / "test_one.py").write_text("")
    (breach,) = unmirrored_tests(tree)
    assert breach.startswith("tests/unit/head_office/things/test_one.py")


@pytest.mark.parametrize("text", [None, "", "import os", '"""A sentence."""\nfrom x import y', "1 + 1"])
def test_a_folder_that_does_not_say_what_belongs_there_is_found(tree: Path, text: str | None) -> None:
    (tree / "head_office" / "log").mkdir()
    (tree / "head_office" / "log" / "ingest.py").write_text("")
    if text is not None:
        (tree / "head_office" / "log" / "__init__.py").write_text(text)
    assert unexplained_folders(tree) == ["head_office/log/__init__.py is not one sentence"]


@pytest.mark.parametrize("path", ["shared/helpers.py", "shared/runtime/utils.py", "shared/extra/__init__.py"])
def test_a_new_shared_module_is_found(tree: Path, path: str) -> None:
    (tree / path).parent.mkdir(exist_ok=True)
    (tree / path).write_text("")
    assert len(unknown_modules(tree)) == 1


def test_a_lost_shared_module_is_found(tree: Path) -> None:
    (tree / "shared" / "stock.py").unlink()
    assert unknown_modules(tree) == ["shared/stock is on the closed list only"]


@pytest.mark.parametrize("name", ["notes.md", "scripts", "setup.cfg"])
def test_a_stray_at_the_top_is_found(tree: Path, name: str) -> None:
    (tree / name).mkdir()
    assert unknown_at_the_top(tree) == [f"{name} does not belong at the top"]


@pytest.mark.parametrize(
    "line",
    [
        "import os\nos.environ['HOME']",
        "import os as system\nsystem.getenv('HOME')",
        "from os import environ",
        "import typer\ntyper.Option(envvar='LARDER_PORT')",
    ],
)
def test_a_read_of_the_environment_is_found(tree: Path, line: str) -> None:
    (tree / "head_office" / "api.py").write_text(line)
    assert len(environment_reads(tree)) == 1
    (tree / "head_office" / "api.py").rename(tree / "head_office" / "settings.py")
    assert environment_reads(tree) == []


@pytest.mark.parametrize("line", ["import csv\ncsv.writer(file)", "from csv import DictWriter"])
def test_csv_written_elsewhere_is_found(tree: Path, line: str) -> None:
    (tree / "head_office" / "exports.py").write_text(line)
    assert len(csv_written_elsewhere(tree)) == 1


def test_a_long_file_is_found(tree: Path) -> None:
    (tree / "head_office" / "api.py").write_text("\n" * LONGEST)
    assert long_files(tree) == []
    (tree / "head_office" / "api.py").write_text("\n" * (LONGEST + 1))
    assert long_files(tree) == ["head_office/api.py has 401 lines"]


@pytest.mark.parametrize("name", ["shared/gone.py", "tests/unit/gone/", "head_office/log/ingest.py"])
def test_a_lost_path_is_found(tree: Path, name: str) -> None:
    (tree / "README.md").write_text("`shared/` holds `shared/events.py`, `make test` and [x](shared/x)")
    assert lost_paths(tree) == []
    (tree / "README.md").write_text(f"See `{name}`.")
    assert lost_paths(tree) == [f"README.md names {name}"]


# Runs in a process of its own. Migrations are left out: they are scripts that alembic runs, not modules.
IMPORT_ALL = """
import importlib, pathlib, sys, threading

ACTS = ("socket.bind", "socket.connect", "sqlite3.connect", "subprocess.Popen", "os.mkdir", "os.remove", "os.rename")
root, packages = pathlib.Path(sys.argv[1]), sys.argv[2:]
sys.path.insert(0, str(root))
done = []

def watch(event, arguments):
    if event in ACTS or event == "open" and isinstance(arguments[1], str) and set(arguments[1]) & set("wax+"):
        done.append(f"{event} {arguments[:2]}")

modules = [
    ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__")
    for package in packages for path in sorted((root / package).rglob("*.py"))
    if "migrations" not in path.parts and path.stem != "__main__"
]
sys.addaudithook(watch)
for module in modules:
    importlib.import_module(module)
done += [thread.name for thread in threading.enumerate() if thread is not threading.main_thread()]
print(*done, sep="\\n", end="")
"""


def acts_at_import(root: Path, packages: tuple[str, ...]) -> list[str]:
    command = [sys.executable, "-B", "-c", IMPORT_ALL, str(root), *packages]
    run = subprocess.run(command, capture_output=True, text=True, check=False, cwd="/")
    assert run.returncode == 0, run.stderr
    return run.stdout.splitlines()


def test_nothing_happens_at_import() -> None:
    assert acts_at_import(ROOT, PACKAGES) == []


@pytest.mark.parametrize(
    "act",
    [
        "import threading, time; threading.Thread(target=time.sleep, args=(1,)).start()",
        "import sqlite3; sqlite3.connect(':memory:')",
        "open('/dev/null', 'w')",
        "import subprocess; subprocess.run('true')",
    ],
)
def test_an_act_at_import_is_found(tmp_path: Path, act: str) -> None:
    (tmp_path / "kitchen").mkdir()
    (tmp_path / "kitchen" / "__init__.py").write_text(act)
    assert acts_at_import(tmp_path, ("kitchen",)) != []
