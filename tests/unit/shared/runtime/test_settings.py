"""Settings: which source wins, and what is said when one is wrong."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from shared.runtime.settings import (
    ServiceSettings,
    SettingsError,
    command_line,
    environment,
    load_settings,
    read_settings_file,
    write_settings_file,
)


class Example(ServiceSettings):
    port: int = 8000
    database_url: str
    key: SecretStr | None = None


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DIR", "PORT", "DATABASE_URL", "KEY", "OTHER"):
        monkeypatch.delenv(f"LARDER_{name}", raising=False)


def test_a_command_is_printed_as_it_can_be_typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "bin" / "larder"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.setattr("sys.argv", [str(program)])
    monkeypatch.setenv("PATH", str(tmp_path))
    assert command_line("branch", "stock", "--dir", Path("my shop")) == f"{program} branch stock --dir 'my shop'"
    monkeypatch.setenv("PATH", str(program.parent))
    assert command_line("branch") == "larder branch"
    monkeypatch.setattr("sys.argv", ["/somewhere/cli.py"])
    assert command_line("branch") == "larder branch"


def complaint(flags: dict[str, object]) -> str:
    with pytest.raises(SettingsError) as caught:
        load_settings(Example, flags)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_flags_then_environment_then_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_settings_file(tmp_path, {"database_url": "file", "port": 1})
    assert load_settings(Example, {"dir": tmp_path, "port": None}).port == 1
    monkeypatch.setenv("LARDER_PORT", "2")
    assert load_settings(Example, {"dir": tmp_path}).port == 2
    found = load_settings(Example, {"dir": tmp_path, "port": 3})
    assert (found.port, found.database_url) == (3, "file")


def test_the_directory_may_come_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_settings_file(tmp_path, {"database_url": "file"})
    monkeypatch.setenv("LARDER_DIR", str(tmp_path))
    assert load_settings(Example, {}).database_url == "file"
    assert environment("DIR") == str(tmp_path)
    assert environment("OTHER") is None


def test_what_is_missing_is_named_with_what_to_do(tmp_path: Path) -> None:
    told = complaint({"dir": tmp_path})
    assert "'database_url' is missing" in told
    assert "--database-url" in told
    assert "LARDER_DATABASE_URL" in told


def test_what_is_wrong_is_named_and_not_repeated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LARDER_PORT", "lk_secret")
    told = complaint({"dir": tmp_path, "database_url": "x"})
    assert "'port' is wrong" in told
    assert "lk_secret" not in told


def test_an_unknown_setting_in_the_file_is_named(tmp_path: Path) -> None:
    write_settings_file(tmp_path, {"database_url": "x", "prot": 1})
    told = complaint({"dir": tmp_path})
    assert "no setting 'prot'" in told
    assert "port" in told


@pytest.mark.parametrize("text", ["port = ", "\xff", "[[["])
def test_a_file_that_is_not_toml(tmp_path: Path, text: str) -> None:
    path = write_settings_file(tmp_path, {})
    path.write_text(text, encoding="latin-1")
    assert "is not TOML" in complaint({"dir": tmp_path})


def test_a_file_that_others_may_read(tmp_path: Path) -> None:
    path = write_settings_file(tmp_path, {"database_url": "x"})
    assert path.stat().st_mode & 0o777 == 0o600
    path.chmod(0o640)
    assert f"chmod 600 {path}" in complaint({"dir": tmp_path})


def test_the_directory_is_made_private_and_a_second_write_replaces(tmp_path: Path) -> None:
    folder = tmp_path / "new"
    write_settings_file(folder, {"database_url": "a", "port": 1})
    assert folder.stat().st_mode & 0o777 == 0o700
    write_settings_file(folder, {"database_url": "b", "key": None})
    assert read_settings_file(folder) == {"database_url": "b"}
    assert [path.name for path in folder.iterdir()] == ["settings.toml"]


def test_a_secret_is_not_shown(tmp_path: Path) -> None:
    assert "hidden" not in repr(load_settings(Example, {"dir": tmp_path, "database_url": "x", "key": "hidden"}))


values = st.text(st.characters(codec="utf-8")) | st.integers(-(2**63), 2**63 - 1) | st.booleans()


@given(st.dictionaries(st.from_regex(r"[a-z_]{1,10}", fullmatch=True), values, max_size=5))
def test_what_is_written_is_read(
    tmp_path_factory: pytest.TempPathFactory, written: dict[str, str | int | bool]
) -> None:
    folder = tmp_path_factory.mktemp("settings")
    write_settings_file(folder, written)
    assert read_settings_file(folder) == written


class One(ServiceSettings):
    service: str = "one"
    only_here: int = 1


class Other(ServiceSettings):
    service: str = "other"


def test_the_folder_of_another_service_is_named_as_such(tmp_path: Path) -> None:
    """Nobody is told to remove what belongs in it."""
    write_settings_file(tmp_path / "one", {"service": "one", "only_here": 2})
    write_settings_file(tmp_path / "by hand", {"only_here": 3})
    write_settings_file(tmp_path / "none", {})
    assert load_settings(One, {"dir": tmp_path / "one"}).only_here == 2
    assert load_settings(One, {"dir": tmp_path / "by hand"}).only_here == 3
    for folder in ("none", "nowhere"):
        assert load_settings(Other, {"dir": tmp_path / folder}).service == "other"
    with pytest.raises(SettingsError, match="the folder of another service \\(one\\)"):
        load_settings(Other, {"dir": tmp_path / "one"})
