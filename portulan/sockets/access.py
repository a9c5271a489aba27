"""Who may connect, and how often: lists in the notation of scans, and a rate for each address."""

from __future__ import annotations

import ipaddress
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from portulan.errors import UsageError
from portulan.sockets.resolve import resolve
from portulan.target import Range, merge, parse_host
from portulan.target.hosts import net_around

MAPPED: Final = 0xFFFF << 32
"""::ffff:0:0/96: IPv4 addresses as a dual-stack socket shows them (RFC 4291 section 2.5.5.2)."""
ADDRESSES_MAX: Final = 65_536
"""Addresses whose rate is remembered at once, about 10 MB; the one idle longest gives way."""


@dataclass(frozen=True, slots=True)
class AccessList:
    """Addresses that may connect. A denial wins; without `allow` all others may.

    >>> rules = AccessList.of(allow=["10.0.0.0/8"], deny=["10.0.0.1-9"])
    >>> rules.permits("10.0.0.10"), rules.permits("::ffff:10.0.0.9"), rules.permits("::1")
    (True, False, False)
    """

    allow: tuple[Range, ...] | None = None
    deny: tuple[Range, ...] = ()

    @classmethod
    def of(cls, allow: Sequence[str] = (), deny: Sequence[str] = ()) -> AccessList:
        """Read lists of addresses, nets, ranges and names; raises `UsageError`."""
        allowed = merge(_ranges(allow, "--allow")) if allow else None
        return cls(allowed, merge(_ranges(deny, "--deny")))

    def permits(self, host: str) -> bool:
        """Tell whether an address may connect; what is no address (a Unix socket) may."""
        try:
            value = ipaddress.ip_address(host.partition("%")[0])
        except ValueError:
            return True
        family, number = _unmapped(value.version, int(value))
        if _holds(self.deny, family, number):
            return False
        return self.allow is None or _holds(self.allow, family, number)


def _unmapped(family: int, number: int) -> tuple[int, int]:
    if family == 6 and number >> 32 == 0xFFFF:
        return 4, number & 0xFFFF_FFFF
    return family, number


def _ranges(specs: Sequence[str], where: str) -> Iterable[Range]:
    for text in (word for spec in specs for word in spec.split(",")):
        if net := _net(text.strip()):
            yield net
            continue
        spec = parse_host(text.strip(), where=where)
        if spec.ports:
            raise UsageError("an access list knows no ports", text=text, where=where,
                             hint="leave the port out")
        if not spec.name:
            yield from (_plain(item) for item in spec.ranges)
            continue
        found = resolve(spec.name)
        if not found:
            raise UsageError("no address is known for this name", text=spec.name, where=where,
                             hint="check its spelling")
        for address in found:
            item = parse_host(address, where=where).ranges[0]
            wide = spec.prefix is not None and (spec.prefix <= 32 or item.family == 6)
            yield net_around(item, spec.prefix, spec.word) if wide and spec.prefix else item


def _net(text: str) -> Range | None:
    """Read an address or net of any size: a scan's limit on IPv6 nets is none of ours."""
    try:
        net = ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None
    return _plain(Range(net.version, int(net.network_address), net.num_addresses))


def _plain(item: Range) -> Range:
    """Return a range of mapped addresses as the IPv4 range it is."""
    inside = item.family == 6 and item.start >= MAPPED and item.stop <= MAPPED + 2**32
    return Range(4, item.start - MAPPED, item.count) if inside else item


def _holds(ranges: tuple[Range, ...], family: int, number: int) -> bool:
    at = bisect_right(ranges, (family, number), key=lambda item: (item.family, item.start)) - 1
    return at >= 0 and ranges[at].family == family and number < ranges[at].stop


class Rate:
    """At most `per_s` connections a second by each address, with a second's worth at once.

    An IPv6 address counts as its /64: that is what one client is given.
    """

    def __init__(self, per_s: float) -> None:
        self.per_s, self.burst = per_s, max(per_s, 1.0)
        self._left: dict[object, tuple[float, float]] = {}

    def admits(self, host: str, now: float) -> bool:
        """Tell whether one more may come at `now`, in seconds of any clock that never goes back."""
        key = _client(host)
        left, since = self._left.pop(key, (self.burst, now))
        left = min(self.burst, left + (now - since) * self.per_s)
        admitted = left >= 1
        self._left[key] = (left - admitted, now)
        if len(self._left) > ADDRESSES_MAX:
            del self._left[next(iter(self._left))]
        return admitted


def _client(host: str) -> object:
    try:
        value = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return host
    family, number = _unmapped(value.version, int(value))
    return (family, number >> 64) if family == 6 else (family, number)
