"""What a user asks for, in a form that can be kept and taken up again."""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

Method: TypeAlias = Literal[
    "auto", "syn", "connect", "ping", "ack", "window", "fin", "null", "xmas",
    "maimon", "udp", "sctp", "protocols",
]
Word: TypeAlias = tuple[str, str]
"""A text and where it stood: ("10.0.0.1", "hosts.txt:3")."""

#: Packets a second, unless the user says otherwise.
RATE_PRIVATE_PPS = 10_000
RATE_PUBLIC_PPS = 1_000
#: Public addresses that need no scope file and no confirmation.
PUBLIC_MAX = 65_536
DEFAULT_TOP_PORTS = 1_000
#: A contact that fits every place it is put into.
CONTACT_MAX_BYTES = 200


class Request(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A scan as asked for; what is left out is chosen by the plan."""

    targets: list[Word]
    exclude: list[Word] = []
    ports: str = ""
    """nmap's notation; empty: the top `top_ports`."""
    top_ports: int = 0
    exclude_ports: str = ""
    """In the same notation; these are never asked."""
    method: Method = "auto"
    also: list[Method] = []
    """Further methods, each for ports of another protocol."""
    tcp_flags: int | None = None
    """Flags of one's own in TCP probes; answers are read in the manner of `method`."""
    discover: bool = True
    """Ask first who is up (False: `-Pn`)."""
    family: int = 0
    """4 or 6, 0 for both."""
    interface: str = ""
    max_rate: float | None = None
    """Packets a second; 0 for no cap, None for the default of the targets' kind."""
    min_rate: float = 0.0
    """Packets a second below which losses do not bring the rate; 0 for no such bound."""
    scan_delay_s: float = 0.0
    """Seconds between two probes to one host; 0 for none."""
    retries: int | None = None
    recall: float = 0.0
    """Ask on until this share of what answers is found, as estimated; 0 for no such aim."""
    timing: int = 3
    seed: int = 0
    shard: str = ""
    every_state: bool = False
    """Give each port an event of its own, not only those that answer as open."""
    scope: str = ""
    """Text of a scope file."""
    scope_where: str = ""
    confirmed: bool = False
    """The user confirmed more than `PUBLIC_MAX` public addresses."""
    identify: bool = False
    """Name the services behind open ports (`-sV`)."""
    checks: bool = False
    """Look at the services that were named by safe checks (`-sC`)."""
    checks_folder: str = ""
    """Where checks of the user's own are."""
    systems: bool = False
    """Find out what systems hosts run (`-O`)."""
    traceroute: bool = False
    """Trace the ways to hosts that are up."""
    host_timeout_s: float = 0.0
    """Seconds for the ports of one host, and for naming its services; 0 for no such limit."""
    contact: str = ""
    argv: list[str] = []
