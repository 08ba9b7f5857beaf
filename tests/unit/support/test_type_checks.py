"""The type checker is given the whole of Larder: the services, and the tests with their benchmarks."""

import tomllib

from tests.support.processes import ROOT


def test_every_package_is_type_checked() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["mypy"]
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")}
    assert {"branch_node", "tests"} <= packages
    assert set(settings["packages"]) == packages
    assert settings["strict"]
    assert "exclude" not in settings
    for override in settings["overrides"]:
        assert not override.keys() & {"ignore_errors", "follow_imports"}, override
