"""What our HTTP protocol uses of uvicorn beyond its public interface is there, in the version that is installed."""

from __future__ import annotations

import ast
import asyncio
import inspect
import tomllib
from importlib.metadata import version
from types import SimpleNamespace
from typing import Any

import pytest
import uvicorn
from uvicorn.protocols.http import httptools_impl
from uvicorn.server import ServerState

from shared.runtime.http import connection_limits, server
from tests.support.processes import ROOT

BROKEN = (
    "uvicorn {version} has no {missing} any more, and shared/runtime/http/connection_limits.py or server.py needs it: "
    "rewrite that module for the new uvicorn, or lower the bound in pyproject.toml"
)


def used_attributes(kind: type, of: str) -> set[str]:
    """The attributes that the methods of a class read or set of `of`, such as `self.flow`."""
    tree = ast.parse(inspect.getsource(kind))
    return {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute) and ast.unparse(node.value) == of}


def own_attributes(kind: type) -> set[str]:
    """What the class defines, and what its `__init__` sets."""
    tree = ast.parse(inspect.getsource(kind))
    [init] = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.name == "__init__"]
    set_there = {
        node.attr for node in ast.walk(init) if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store)
    }
    return {*vars(kind), *kind.__annotations__, *set_there}


def overridden(kind: type) -> set[str]:
    """The methods of a class that another one is written to call: those with a public name."""
    return {name for name, value in vars(kind).items() if inspect.isfunction(value) and not name.startswith("_")}


def assert_there(of: object, names: set[str]) -> None:
    kind = of.__name__ if isinstance(of, type) else type(of).__name__
    gone = [f"{kind}.{name}" for name in sorted(names) if not hasattr(of, name)]
    assert not gone, BROKEN.format(version=version("uvicorn"), missing=", ".join(gone))


@pytest.fixture
def protocol() -> Any:
    """uvicorn's own protocol with a connection open, as it calls our overrides."""

    async def make() -> httptools_impl.HttpToolsProtocol:
        config = uvicorn.Config(app=lambda *_: None, lifespan="off", log_config=None)
        config.load()
        made = httptools_impl.HttpToolsProtocol(config=config, server_state=ServerState(), app_state={})
        no_info = SimpleNamespace(get_extra_info=lambda *_: None, pause_reading=None, resume_reading=None)
        made.connection_made(no_info)  # type: ignore[arg-type]
        return made

    return asyncio.run(make())


def test_what_our_protocol_uses_of_uvicorns_is_there(protocol: Any) -> None:
    ours = connection_limits.LimitedHttpProtocol
    names = used_attributes(ours, "self") - own_attributes(ours)
    assert {"parser", "pipeline", "flow", "cycle", "timeout_keep_alive_task"} <= names, "the search finds what is used"
    assert_there(protocol, names)
    assert_there(httptools_impl.HttpToolsProtocol, overridden(ours))
    assert_there(protocol.flow, used_attributes(ours, "self.flow"))
    assert_there(protocol.server_state, used_attributes(ours, "self.server_state"))


def test_what_our_protocol_uses_of_a_request_is_there() -> None:
    ours = connection_limits.LimitedHttpProtocol
    names = used_attributes(ours, "self.cycle") | used_attributes(ours, "cycle")
    assert {"response_complete", "message_event", "default_headers"} <= names, "the search finds what is used"
    arguments = inspect.signature(httptools_impl.RequestResponseCycle).parameters
    assert_there(httptools_impl.RequestResponseCycle(**dict.fromkeys(arguments)), names)  # type: ignore[arg-type]
    assert httptools_impl.STATUS_LINE[503].startswith(b"HTTP/1.1 503 ")


def test_what_our_server_overrides_is_there() -> None:
    assert_there(uvicorn.Server, overridden(server._Server))
    assert_there(uvicorn.Server(uvicorn.Config(app=lambda *_: None)), {"should_exit", "force_exit"})


def test_what_is_gone_is_found(protocol: Any) -> None:
    del protocol.pipeline
    with pytest.raises(AssertionError, match=r"has no HttpToolsProtocol\.pipeline any more"):
        assert_there(protocol, {"parser", "pipeline"})


def test_uvicorn_has_an_upper_bound() -> None:
    """Another minor version may change its private classes: it is tried here before it is allowed."""
    dependencies = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    [bound] = [each for each in dependencies if each.startswith("uvicorn")]
    _, _, below = bound.partition("<")
    assert below, "while a private class of uvicorn is subclassed, pyproject.toml says up to which version"
    major, minor = (int(part) for part in version("uvicorn").split(".")[:2])
    assert tuple(map(int, below.split("."))) == (major, minor + 1), "the next minor version after the tried one"
