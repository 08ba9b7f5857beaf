"""Settings by which the report of each morning is mailed: all three or none, and what is wrong has its name."""

from pathlib import Path

import pytest

from head_office.settings import HeadOfficeSettings
from shared.runtime.settings import SettingsError, load_settings

WHOLE = {
    "smtp_url": "smtp://till:geheim@mail.example?starttls",
    "mail_from": "larder@shop.example",
    "report_mail_to": "buyer@shop.example, owner@shop.example",
}


def test_all_or_none(tmp_path: Path) -> None:
    assert load_settings(HeadOfficeSettings, {"dir": tmp_path}).smtp_url is None
    found = load_settings(HeadOfficeSettings, {"dir": tmp_path, **WHOLE})
    assert "geheim" not in repr(found)


@pytest.mark.parametrize("name", sorted(WHOLE))
def test_the_one_that_is_missing_is_named(tmp_path: Path, name: str) -> None:
    given = {each: value for each, value in WHOLE.items() if each != name}
    with pytest.raises(SettingsError, match=f"add {name}, as LARDER_{name.upper()}") as refused:
        load_settings(HeadOfficeSettings, {"dir": tmp_path, **given})
    assert "geheim" not in str(refused.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("smtp_url", "smtp://till:geheim@mail.example"),
        ("mail_from", "a@b, c@d"),
        ("mail_from", "Larder <larder@shop.example>"),
        ("report_mail_to", "buyer@shop.example\r\nBcc: x@y"),
    ],
)
def test_the_one_that_is_wrong_is_named(tmp_path: Path, name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=f"the setting '{name}' is wrong") as refused:
        load_settings(HeadOfficeSettings, {"dir": tmp_path, **WHOLE, name: value})
    assert "geheim" not in str(refused.value)
