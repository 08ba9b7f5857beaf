"""Which addresses are posted to; the guard against Python's own table of addresses."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.runtime.webhooks.address_guard import AddressGuard, AddressRefused, is_public, read_target

ADDRESSES = st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6), st.ip_addresses(v=6, network="2000::/3"))


@given(ADDRESSES)
def test_what_is_public_is_so_by_pythons_table_too(address: IPv4Address | IPv6Address) -> None:
    if is_public(address):
        assert address.is_global
        assert not address.is_multicast
    elif isinstance(address, IPv4Address) and address.is_global and not address.is_multicast:
        # What only this table refuses, by name.
        named = ("192.0.0.", "192.88.99.", "168.63.129.16")
        assert str(address).startswith(named)


@pytest.mark.parametrize("address", ["93.184.215.14", "1.1.1.1", "2606:2800:21f:cb07:6820:80da:af6b:8b2c"])
def test_public_addresses(address: str) -> None:
    assert AddressGuard().fault("https", address) is None
    assert "plain http" in (AddressGuard().fault("http", address) or "")


@pytest.mark.parametrize(
    "address",
    [
        "0.0.0.0", "0.1.2.3", "10.1.2.3", "100.64.0.1", "100.100.100.200", "127.0.0.1", "127.9.9.9",
        "168.63.129.16", "169.254.169.254", "172.31.255.255", "192.0.0.192", "192.168.0.1", "198.19.255.255",
        "224.0.0.1", "239.255.255.255", "255.255.255.255", "::", "::1", "::ffff:127.0.0.1", "::ffff:93.184.215.14",
        "::127.0.0.1", "64:ff9b::7f00:1", "64:ff9b::5db8:d70e", "64:ff9b:1::1", "2002:7f00:1::", "2001::1",
        "2001:db8::1", "fc00::1", "fd00:ec2::254", "fe80::1", "fe80::1%lo", "fec0::1", "ff02::1",
        "2606:2800:21f:cb07:6820:80da:af6b:8b2c%1",
    ],
)  # fmt: skip
def test_addresses_that_are_not_public(address: str) -> None:
    assert not is_public(ip_address(address))
    assert AddressGuard().fault("https", address) is not None
    assert AddressGuard().fault("http", address) is not None


def test_the_setting_names_addresses_and_networks() -> None:
    guard = AddressGuard("127.0.0.1, 10.1.0.0/16,fd00::/8")
    for address in ("127.0.0.1", "10.1.2.3", "fd00::5"):
        assert guard.fault("http", address) is None
        assert guard.fault("https", address) is None
    for address in ("127.0.0.2", "10.2.0.1", "::ffff:127.0.0.1", "fe80::1"):
        assert guard.fault("https", address) is not None
    with pytest.raises(ValueError):
        AddressGuard("office.example")
    with pytest.raises(ValueError):
        AddressGuard("127.0.0.1,")


def test_every_address_of_a_name_is_checked() -> None:
    guard = AddressGuard()
    assert guard.checked("https", "shop.example", 443, lambda *_: ["1.1.1.1"]) == ["1.1.1.1"]
    with pytest.raises(AddressRefused, match=r"10\.0\.0\.1"):
        guard.checked("https", "shop.example", 443, lambda *_: ["1.1.1.1", "10.0.0.1"])
    with pytest.raises(OSError):
        guard.checked("https", "shop.example", 443, lambda *_: [])


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://shop.example/hooks", ("https", "shop.example", 443)),
        ("https://shop.example:8443/h?x=1", ("https", "shop.example", 8443)),
        ("http://127.0.0.1:8080", ("http", "127.0.0.1", 8080)),
        ("https://[2001:db8::1]/", ("https", "2001:db8::1", 443)),
        ("https://xn--caf-dma.example/", ("https", "xn--caf-dma.example", 443)),
    ],
)
def test_endpoints(url: str, expected: tuple[str, str, int]) -> None:
    assert read_target(url) == expected


@pytest.mark.parametrize(
    "url",
    [
        "", "shop.example", "/hooks", "ftp://shop.example/", "file:///etc/passwd", "https://", "https:///x",
        "https://user@shop.example/", "https://user:word@shop.example/",
        "https://shop.example/#part", "https://shop.example:0/", "https://shop.example:99999/",
        "https://shop.example/a b", "https://shop.example/\n", "https://shop.example/é", "https://[::1/",
        "https://shop.example/" + "x" * 2_000, "javascript:alert(1)", "https://sh\x00p.example/",
    ],
)  # fmt: skip
def test_what_leads_nowhere(url: str) -> None:
    with pytest.raises(AddressRefused):
        read_target(url)


@given(st.text(max_size=60) | st.text("htps:/@[]:.%0123456789abc#?\\", max_size=60).map("https://".__add__))
def test_any_text_is_an_endpoint_or_refused(url: str) -> None:
    try:
        target = read_target(url)
    except AddressRefused:
        return
    assert target.host
    assert target.scheme in {"http", "https"}
    assert "@" not in target.host


@pytest.mark.parametrize("host", ["127.1", "2130706433", "0x7f000001", "localhost"])
def test_other_ways_to_write_this_machine_are_seen_through(host: str) -> None:
    from shared.runtime.webhooks.address_guard import look_up

    with pytest.raises(AddressRefused):
        AddressGuard().check_url(f"https://{host}/", look_up)


def test_a_url_is_checked_as_far_as_it_resolves() -> None:
    def unknown(_host: str, _port: int) -> list[str]:
        raise OSError("no such name")

    AddressGuard().check_url("https://later.example/", unknown)
    AddressGuard("10.0.0.0/8").check_url("http://later.example/", unknown)
    with pytest.raises(AddressRefused, match="plain http"):
        AddressGuard().check_url("http://later.example/", unknown)
    with pytest.raises(AddressRefused, match=r"10\.0\.0\.1"):
        AddressGuard().check_url("https://shop.example/", lambda *_: ["10.0.0.1"])
