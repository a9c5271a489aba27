"""Who has this address: ARP and neighbour solicitation on a link.

A neighbour's answer proves that the host is up and tells its Ethernet address, without which no
frame can be sent to it. A reply must come to our own Ethernet address and name an address that we
asked for; more proof than that the protocols have no room for (RFC 826, RFC 4861).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from portulan.scan.kind import Instruction, Outgoing, find
from portulan.scan.paths import Paths, Via
from portulan.scan.replies import Heard
from portulan.scan.verdict import Answers, Reason, State
from portulan.target.space import Probes, Space
from portulan.wire.arp import ARP, ArpOperation
from portulan.wire.bpf import replies_filter
from portulan.wire.checksum import finish, word_sum
from portulan.wire.ethernet import Ethernet, EtherType
from portulan.wire.frames import Frames
from portulan.wire.icmpv6 import Icmp6Type, ICMPv6, solicited_node
from portulan.wire.icmpv6 import Neighbour as Asked
from portulan.wire.ipv6 import IPv6

#: The one question a host is asked; in the space it has no port.
QUESTION: Final = (0, 0)
BROADCAST: Final = 0xFFFF_FFFF_FFFF
#: What ND messages must arrive with: nobody beyond the link can forge it (RFC 4861 section 7.1.2).
HOP_LIMIT: Final = 255
_TARGET_LINK_ADDRESS: Final = 2


class NeighbourKind:
    """Ask hosts of a link for their Ethernet address; `macs` has them by host number, 0 unknown."""

    silent = State.FILTERED

    def __init__(self, space: Space, paths: Paths) -> None:
        self.space, self._paths = space, paths
        self.macs = np.zeros(space.host_count, np.uint64)
        self._ours = np.array(
            [int.from_bytes(via.source_mac, "big") for via in paths.vias], np.uint64
        )

    def filter(self, link_type: int) -> Sequence[Instruction]:
        """Return the BPF program that passes ARP and ICMPv6."""
        return replies_filter(link_type=link_type, tcp_ports=None, icmp=False, icmp6=True, arp=True)

    def build(self, index: NDArray[np.int64], try_no: int) -> list[Outgoing]:
        """Return the questions for these hosts; every try is the same."""
        probes = self.space.probes(index)
        outgoing = []
        for via, at in self._paths.split(self.space.host_of(index)):
            asked = probes.take(at)
            rows = _arp_rows(via, asked) if via.family == 4 else _nd_rows(via, asked)
            outgoing.append(Outgoing(via.link, rows, at, ethernet=True))
        return outgoing

    def read(self, frames: Frames) -> Answers:
        """Return the answers among these frames, and keep the Ethernet addresses they tell."""
        heard = Heard(frames)
        return Answers.concat([self._read_arp(heard), self._read_nd(heard)])

    def _read_arp(self, heard: Heard) -> Answers:
        at, row = heard.arp()
        arp = ARP.gather(heard.frames.buffer, at)
        ours = (arp.operation == ArpOperation.REPLY) & np.isin(arp.tha, self._ours)
        ours &= (arp.hardware == 1) & (arp.hlen == 6) & (arp.plen == 4)
        ours &= (arp.protocol == EtherType.IPV4) & _usable(arp.sha)
        return self._answers(
            heard, row=row[ours], family=4, hi=np.zeros(int(ours.sum()), np.uint64),
            lo=arp.spa[ours].astype(np.uint64), mac=arp.sha[ours], reason=Reason.ARP_RESPONSE,
        )

    def _read_nd(self, heard: Heard) -> Answers:
        icmp = heard.icmp(6, Icmp6Type.NEIGHBOUR_ADVERTISEMENT)
        # ICMPv6 header, target, and the one option that counts: 2, 1, six octets of address.
        whole = (icmp.size >= ICMPv6.size + Asked.size + 8) & (icmp.ttl == HOP_LIMIT)
        whole &= heard.frames.buffer[icmp.at + 1] == 0
        icmp = icmp.take(whole)
        target = Asked.gather(heard.frames.buffer, icmp.at + ICMPv6.size)
        option = heard.octets(icmp.at + ICMPv6.size + Asked.size, 8)
        told = (option[:, 0] == _TARGET_LINK_ADDRESS) & (option[:, 1] == 1)
        mac = option.view(">u8")[:, 0].astype(np.uint64) & np.uint64(BROADCAST)
        told &= _usable(mac)
        return self._answers(
            heard, row=icmp.row[told], family=6, hi=target.target_hi[told],
            lo=target.target_lo[told], mac=mac[told], reason=Reason.ND_RESPONSE,
        )

    def _answers(
        self, heard: Heard, *, row: NDArray[np.int64], family: int, hi: NDArray[np.uint64],
        lo: NDArray[np.uint64], mac: NDArray[np.uint64], reason: Reason,
    ) -> Answers:
        families = np.full(len(row), family, np.uint8)
        none = np.zeros(len(row), np.uint16)
        index = find(self.space, Probes(families, hi, lo, none, none.astype(np.uint8)))
        asked = index >= 0
        host = self.space.host_of(index[asked])
        self.macs[host] = mac[asked]
        return Answers.of(
            index[asked], state=State.UP, reason=reason,
            time_ns=heard.frames.time_ns[row[asked]], row=row[asked],
        )


def _usable(mac: NDArray[np.uint64]) -> NDArray[np.bool_]:
    # Groups are allowed: clusters that share an address answer with one (Microsoft's NLB).
    usable: NDArray[np.bool_] = (mac != 0) & (mac != BROADCAST)
    return usable


def _arp_rows(via: Via, probes: Probes) -> NDArray[np.uint8]:
    ours = int.from_bytes(via.source_mac, "big")
    packet = Ethernet(dst=BROADCAST, src=ours) / ARP.request(sha=ours, spa=via.source, tpa=0)
    rows = np.empty((len(probes), len(packet)), np.uint8)
    rows[:] = np.frombuffer(packet.pack(), np.uint8)
    ARP.view(rows, Ethernet.size).tpa[:] = probes.lo
    return rows


def _nd_rows(via: Via, probes: Probes) -> NDArray[np.uint8]:
    ours = int.from_bytes(via.source_mac, "big")
    group, mac = solicited_node(0)
    message = ICMPv6.neighbour_solicitation(0, mac=ours)
    packet = (
        Ethernet(dst=mac, src=ours)
        / IPv6(src=via.source, dst=group, hop_limit=HOP_LIMIT) / message
    )
    rows = np.empty((len(probes), len(packet)), np.uint8)
    rows[:] = np.frombuffer(packet.pack(), np.uint8)
    transport = Ethernet.size + IPv6.size
    same = 0xFFFF - ICMPv6.parse(packet.pack(), transport).checksum
    low = probes.lo & np.uint64(0xFF_FFFF)
    Ethernet.view(rows).dst[:] = np.uint64(int(mac)) | low
    IPv6.view(rows, Ethernet.size).dst_lo[:] = np.uint64(group.lo) | low
    asked = Asked.view(rows, transport + ICMPv6.size)
    asked.target_hi[:], asked.target_lo[:] = probes.hi, probes.lo
    # The group's last 24 bits begin in the middle of a word: sums of old and new differ by them.
    moved = word_sum(np.uint64(group.lo) | low) - np.uint64(word_sum(group.lo))
    total = np.uint64(same) + moved + word_sum(probes.hi) + word_sum(probes.lo)
    ICMPv6.view(rows, transport).checksum[:] = finish(total)
    return rows
