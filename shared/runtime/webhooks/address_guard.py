"""Which addresses a service may post to that strangers named: public ones by HTTPS, and those that a setting names.

Without it whoever may subscribe could reach what only this machine or its network can: the database, the router, the
cloud's own metadata. A name is checked by every address that it has, and the connection goes to a checked address.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final, NamedTuple

import httpx

MAX_URL: Final = 2_000
_PORTS: Final = {"http": 80, "https": 443}

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
Resolver = Callable[[str, int], Sequence[str]]
"""The addresses of a host's name for a port, as texts. Raises OSError where the name has none."""

_NOT_PUBLIC_4: Final = tuple(
    IPv4Network(each)
    for each in (
        "0.0.0.0/8",  # this network
        "10.0.0.0/8",
        "100.64.0.0/10",  # between a provider and its customers
        "127.0.0.0/8",
        "168.63.129.16/32",  # a cloud's services for its own machines
        "169.254.0.0/16",  # the link, and the metadata of most clouds
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.88.99.0/24",  # relays of 6to4
        "192.168.0.0/16",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",
    )
)
# Everything else, such as ::, ::1, ::ffff:a.b.c.d, 64:ff9b::/96 (NAT64), fc00::/7, fe80::/10 and ff00::/8, is outside.
_PUBLIC_6: Final = IPv6Network("2000::/3")
_NOT_PUBLIC_6: Final = tuple(
    IPv6Network(each)
    for each in (
        "2001::/23",  # protocols, Teredo among them
        "2001:db8::/32",
        "2002::/16",  # 6to4: an IPv4 address inside
        "3fff::/20",
    )
)


class AddressRefused(Exception):
    """Nothing is posted there. The text says why, for the person who named the address."""


class WebhookTarget(NamedTuple):
    """Where a URL leads. `host` is a name in ASCII or an IP address without brackets."""

    scheme: str
    host: str
    port: int


def read_target(url: str) -> WebhookTarget:
    """The target of an absolute http or https URL. Raises AddressRefused for any other text."""
    if not 1 <= len(url) <= MAX_URL or not url.isascii() or not url.isprintable() or " " in url:
        raise AddressRefused(
            f"a URL has 1 to {MAX_URL} printable ASCII characters without blanks; other letters of a name are written "
            "as xn--…, those of a path as %…"
        )
    try:
        # The parser that the request is made with: another one might read another host.
        parsed = httpx.URL(url)
        host, port = parsed.raw_host.decode("ascii"), parsed.port
    except (httpx.InvalidURL, ValueError) as error:
        raise AddressRefused(f"this is no URL: {error}") from error
    if parsed.scheme not in _PORTS or not host:
        raise AddressRefused("a URL is like https://shop.example/hooks")
    if parsed.userinfo:
        raise AddressRefused("the URL has a user or password: the signature is what proves who sends")
    if parsed.fragment:
        raise AddressRefused("the URL has a fragment, which no request carries")
    if port is not None and not 1 <= port <= 65_535:
        raise AddressRefused("the port is not 1 to 65535")
    return WebhookTarget(parsed.scheme, host, port or _PORTS[parsed.scheme])


def is_public(address: Address) -> bool:
    """Whether anybody in the internet can have this address; those that carry another address inside are not."""
    if isinstance(address, IPv4Address):
        return not any(address in network for network in _NOT_PUBLIC_4)
    return (
        address.scope_id is None and address in _PUBLIC_6 and not any(address in network for network in _NOT_PUBLIC_6)
    )


def look_up(host: str, port: int) -> list[str]:
    """The addresses of a name by the system's resolver, each once. Raises OSError."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(each[4][0]) for each in found))


class AddressGuard:
    """Decides by scheme and address. `allow`: addresses and CIDR networks, with commas between them, that are allowed
    although they are not public, and without TLS. Raises ValueError for a text that names none."""

    def __init__(self, allow: str = "") -> None:
        self._allowed: tuple[Network, ...] = tuple(ip_network(each.strip()) for each in allow.split(",") if allow)

    def fault(self, scheme: str, address: str) -> str | None:
        """Why nothing is posted to this address, or None where it may be."""
        try:
            found = ip_address(address)
        except ValueError:
            return f"{address[:100]} is no address"
        if any(found.version == network.version and found in network for network in self._allowed):
            return None
        if scheme != "https":
            return f"plain http to {found}: only https, or what webhook_allow names"
        return None if is_public(found) else f"{found} is not a public address, and webhook_allow does not name it"

    def checked(self, scheme: str, host: str, port: int, resolve: Resolver) -> list[str]:
        """The addresses of a host, all of which may be posted to. Raises AddressRefused; OSError where it has none."""
        found = [host] if is_address(host) else list(resolve(host, port))
        if not found:
            raise OSError(f"{host} has no address")
        for each in found:
            if (fault := self.fault(scheme, each)) is not None:
                raise AddressRefused(fault)
        return found

    def check_url(self, url: str, resolve: Resolver) -> None:
        """Raise AddressRefused where nothing could be posted to the URL as its name resolves now.

        A name that does not resolve now may later: it is checked again at each connection.
        """
        target = read_target(url)
        if target.scheme != "https" and not self._allowed:
            raise AddressRefused("plain http: only https, or what webhook_allow names")
        try:
            self.checked(*target, resolve)
        except (OSError, UnicodeError):
            return


def is_address(host: str) -> bool:
    """Whether a host is an IP address and no name."""
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
