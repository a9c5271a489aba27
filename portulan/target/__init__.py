"""Whom to ask: text to addresses and ports, and the index space of all probes.

Law: pure. No sockets, files, clock or randomness: resolving names and reading files is the
caller's, passed in as a function or as text. Wrong input raises `UsageError`, nothing else.

>>> targets = parse_targets(["10.0.0.0/30", "10.0.0.2:22,80"], ports=parse_ports("443"),
...                         exclude=["10.0.0.0"], resolve=lambda name: [])
>>> space = Space.of(targets)
>>> space.size, space.host_count
(5, 3)
>>> order = Permutation(space.size, seed=7)
>>> probes = space.probes(order.forward(Shard().positions(0, space.size)))
>>> sorted(zip(address_texts(probes.family, probes.hi, probes.lo), probes.port.tolist()))[:3]
[('10.0.0.1', 443), ('10.0.0.2', 22), ('10.0.0.2', 80)]
"""

from portulan.target.address import address_text, address_texts, address_value
from portulan.target.bitmap import Bitmap
from portulan.target.classify import (
    UNASKABLE,
    AddressClass,
    classify,
    classify_ranges,
    describe_address,
    kinds,
)
from portulan.target.hosts import HostSpec, Word, parse_host
from portulan.target.permutation import Permutation, Shard
from portulan.target.ports import (
    PortSet,
    describe_port,
    parse_ports,
    port_class,
    service_name,
    top_ports,
)
from portulan.target.ranges import Range, address_count, merge, overlap, subtract
from portulan.target.scope import ScopeRules
from portulan.target.space import SCTP, TCP, UDP, Probes, Segment, Space
from portulan.target.targets import Block, Targets, parse_targets, read_lines

__all__ = [
    "SCTP",
    "TCP",
    "UDP",
    "UNASKABLE",
    "AddressClass",
    "Bitmap",
    "Block",
    "HostSpec",
    "Permutation",
    "PortSet",
    "Probes",
    "Range",
    "ScopeRules",
    "Segment",
    "Shard",
    "Space",
    "Targets",
    "Word",
    "address_count",
    "address_text",
    "address_texts",
    "address_value",
    "classify",
    "classify_ranges",
    "describe_address",
    "describe_port",
    "kinds",
    "merge",
    "overlap",
    "parse_host",
    "parse_ports",
    "parse_targets",
    "port_class",
    "read_lines",
    "service_name",
    "subtract",
    "top_ports",
]
