"""A line of a routing table, as a scenario writes it: `default via 10.77.0.1`."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from typing import Self

WORDS = ("via", "dev", "metric")


@dataclass(frozen=True, slots=True)
class Route:
    """Where packets to `network` go: over a gateway, an interface, or both."""

    network: str
    version: int
    via: str = ""
    dev: str = ""
    metric: int = 0

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the route of `NETWORK|default [via ADDR] [dev LINK] [metric N]`.

        Raises `ValueError`.

        >>> Route.parse("default via fd77::1").network
        '::/0'
        """
        network, *rest = text.split() or [""]
        words = dict(zip(rest[::2], rest[1::2], strict=False))
        if len(rest) % 2 or set(words) - set(WORDS) or not {"via", "dev"} & set(words):
            raise ValueError(f"not `NETWORK via ADDRESS [dev LINK] [metric N]`: {text!r}")
        via = words.get("via", "")
        if network == "default":
            network = "::/0" if via and ip_address(via).version == 6 else "0.0.0.0/0"
        version = ip_network(network).version
        return cls(network, version, via, words.get("dev", ""), int(words.get("metric", "0")))
