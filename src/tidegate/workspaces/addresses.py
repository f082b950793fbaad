"""Tells the addresses of the Internet from those that only somebody inside a network may reach."""

from __future__ import annotations

import ipaddress
from collections.abc import Collection
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Final

Allowed = bool | Collection[str]
"""True for every address, or the hosts, addresses and networks that are let through though not public."""

# IANA's registries of special-purpose addresses, https://www.iana.org/assignments/iana-ipv4-special-registry,
# and what clouds answer metadata on within public space.
_NOT_PUBLIC_4: Final = tuple(
    IPv4Network(each)
    for each in (
        *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12"),
        *("192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15"),
        *("198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/3", "168.63.129.16/32"),
    )
)

# Of IPv6 only this is routed at all; NAT64, mapped, local and multicast addresses are elsewhere.
_UNICAST_6: Final = IPv6Network("2000::/3")
_NOT_PUBLIC_6: Final = tuple(
    IPv6Network(each)
    for each in (
        "2001::/23",  # protocols, among them Teredo, which carries an IPv4 address
        "2001:db8::/32",
        "2002::/16",  # 6to4, which carries one too
        "3fff::/20",
    )
)


def is_public(address: str) -> bool:
    """Whether an address, in digits, is one of the Internet's."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    if isinstance(parsed, IPv4Address):
        return not any(parsed in each for each in _NOT_PUBLIC_4)
    return (
        parsed in _UNICAST_6 and parsed.scope_id is None and not any(parsed in each for each in _NOT_PUBLIC_6)
    )


def may_reach(host: str, address: str, allowed: Allowed) -> bool:
    """Whether a link to ``host``, which is at ``address``, may be followed."""
    if is_public(address) or allowed is True:
        return True
    if not allowed:
        return False
    return host.lower().rstrip(".") in allowed or any(_within(address, each) for each in allowed)


def _within(address: str, network: str) -> bool:
    try:
        parsed: IPv4Address | IPv6Address = ipaddress.ip_address(address.partition("%")[0])
        return parsed in ipaddress.ip_network(network, strict=False)
    except ValueError:
        return False
