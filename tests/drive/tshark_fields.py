"""What tshark calls our fields, and the conventions in which it writes or shows them otherwise.

`FIELDS` pairs each field of ours that tshark has with its names there: a packet's first value of
those is taken, or all for a list. `CONVENTIONS` turns tshark's values into ours, `ELSEWHERE` says
in which packets only one of the two can have a field; each entry names its reason.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

FIELDS: dict[str, tuple[str, ...]] = {
    ours: tuple(theirs.split()) for ours, theirs in (
        line.split(maxsplit=1) for line in """
frame.length frame.len
frame.captured frame.cap_len
ethernet.dst eth.dst
ethernet.src eth.src
ethernet.ethertype eth.type eth.len
vlan.pcp ieee8021ad.priority vlan.priority
vlan.dei ieee8021ad.dei vlan.dei
vlan.id ieee8021ad.id vlan.id
vlan.ethertype vlan.etype
arp.hardware arp.hw.type
arp.protocol arp.proto.type
arp.hlen arp.hw.size
arp.plen arp.proto.size
arp.operation arp.opcode
arp.sha arp.src.hw_mac
arp.spa arp.src.proto_ipv4
arp.tha arp.dst.hw_mac
arp.tpa arp.dst.proto_ipv4
linuxsll.packet_type sll.pkttype
linuxsll.hardware sll.hatype
linuxsll.address_length sll.halen
linuxsll.address sll.src.eth
linuxsll.ethertype sll.etype
linuxsll2.packet_type sll.pkttype
linuxsll2.hardware sll.hatype
linuxsll2.address_length sll.halen
linuxsll2.address sll.src.eth
linuxsll2.interface sll.ifindex
linuxsll2.ethertype sll.etype
ip.version ip.version
ip.ihl ip.hdr_len
ip.dscp ip.dsfield.dscp
ip.ecn ip.dsfield.ecn
ip.total_length ip.len
ip.identification ip.id
ip.flags ip.flags
ip.fragment_offset ip.frag_offset
ip.ttl ip.ttl
ip.protocol ip.proto
ip.checksum ip.checksum
ip.src ip.src
ip.dst ip.dst
icmp.type icmp.type
icmp.code icmp.code
icmp.checksum icmp.checksum
icmp.id icmp.ident
icmp.seq icmp.seq
icmpv6.type icmpv6.type
icmpv6.code icmpv6.code
icmpv6.checksum icmpv6.checksum
icmpv6.id icmpv6.echo.identifier
icmpv6.seq icmpv6.echo.sequence_number
nd.target icmpv6.nd.ns.target_address icmpv6.nd.na.target_address
ip6.version ipv6.version
ip6.traffic_class ipv6.tclass
ip6.flow_label ipv6.flow
ip6.payload_length ipv6.plen
ip6.next_header ipv6.nxt
ip6.hop_limit ipv6.hlim
ip6.src ipv6.src
ip6.dst ipv6.dst
hopbyhop.next_header ipv6.hopopts.nxt
hopbyhop.length ipv6.hopopts.len
fragment.next_header ipv6.fraghdr.nxt
fragment.fragment_offset ipv6.fraghdr.offset
fragment.more ipv6.fraghdr.more
fragment.identification ipv6.fraghdr.ident
tcp.sport tcp.srcport
tcp.dport tcp.dstport
tcp.seq tcp.seq_raw
tcp.ack tcp.ack_raw
tcp.data_offset tcp.hdr_len
tcp.flags tcp.flags
tcp.window tcp.window_size_value
tcp.checksum tcp.checksum
tcp.urgent tcp.urgent_pointer
tcp.mss tcp.options.mss_val
tcp.wscale tcp.options.wscale.shift
tcp.ts_value tcp.options.timestamp.tsval
tcp.ts_echo tcp.options.timestamp.tsecr
tcp.payload_length tcp.len
udp.sport udp.srcport
udp.dport udp.dstport
udp.length udp.length
udp.checksum udp.checksum
sctp.sport sctp.srcport
sctp.dport sctp.dstport
sctp.tag sctp.verification_tag
sctp.checksum sctp.checksum
sctp.chunks sctp.chunk_type
sctp.init_tag sctp.init_initiate_tag sctp.initack_initiate_tag
sctp.tsn sctp.data_tsn_raw
sctp.stream sctp.data_sid
sctp.payload_protocol sctp.data_payload_proto_id
gre.has_checksum gre.flags.checksum
gre.has_key gre.flags.key
gre.has_sequence gre.flags.sequence_number
gre.version gre.flags.version
gre.ethertype gre.proto
gre.key gre.key
vxlan.flags vxlan.flags
vxlan.vni vxlan.vni
geneve.version geneve.version
geneve.oam geneve.flags.oam
geneve.critical geneve.flags.critical
geneve.ethertype geneve.proto_type
geneve.vni geneve.vni
mpls.label mpls.label
mpls.tc mpls.exp
mpls.bottom mpls.bottom
mpls.ttl mpls.ttl
pppoe.version pppoe.version
pppoe.type pppoe.type
pppoe.code pppoe.code
pppoe.session pppoe.session_id
pppoe.length pppoe.payload_length
pppoe.service pppoed.tags.service_name
pppoe.concentrator pppoed.tags.ac_name
igmp.type igmp.type
igmp.checksum igmp.checksum
igmp.group igmp.maddr
igmp.groups igmp.maddr
llc.dsap llc.dsap
llc.ssap llc.ssap
stp.protocol stp.protocol
stp.version stp.version
stp.type stp.type
stp.flags stp.flags
stp.root_priority stp.root.prio
stp.root_mac stp.root.hw
stp.root_cost stp.root.cost
stp.bridge_priority stp.bridge.prio
stp.bridge_mac stp.bridge.hw
stp.port stp.port
stp.hello_ms stp.hello
lldp.chassis lldp.chassis.id.mac
lldp.port lldp.port.id.mac
lldp.ttl_s lldp.time_to_live
lldp.port_description lldp.port.desc
lldp.system_name lldp.tlv.system.name
lldp.system_description lldp.tlv.system.desc
lldp.capabilities lldp.tlv.enable_system_cap
lldp.management lldp.mgn.addr.ip4 lldp.mgn.addr.ip6
dns.id dns.id
dns.qr dns.flags.response
dns.opcode dns.flags.opcode
dns.aa dns.flags.authoritative
dns.tc dns.flags.truncated
dns.rd dns.flags.recdesired
dns.ra dns.flags.recavail
dns.z dns.flags.z
dns.ad dns.flags.authenticated
dns.cd dns.flags.checkdisable
dns.rcode dns.flags.rcode
dns.questions dns.count.queries
dns.answer_count dns.count.answers
dns.authority_count dns.count.auth_rr
dns.additional_count dns.count.add_rr
dns.qname dns.qry.name
dns.qtype dns.qry.type
dns.qclass dns.qry.class
dns.a dns.a
dns.aaaa dns.aaaa
dns.cname dns.cname
dns.ptr dns.ptr.domain_name
dns_tcp.length dns.length
dhcp.op dhcp.type
dhcp.hardware dhcp.hw.type
dhcp.hlen dhcp.hw.len
dhcp.hops dhcp.hops
dhcp.xid dhcp.id
dhcp.seconds dhcp.secs
dhcp.flags dhcp.flags
dhcp.ciaddr dhcp.ip.client
dhcp.yiaddr dhcp.ip.your
dhcp.siaddr dhcp.ip.server
dhcp.giaddr dhcp.ip.relay
dhcp.chaddr dhcp.hw.mac_addr
dhcp.message dhcp.option.dhcp
dhcp.mask dhcp.option.subnet_mask
dhcp.requested dhcp.option.requested_ip_address
dhcp.server dhcp.option.dhcp_server_id
dhcp.routers dhcp.option.router
dhcp.dns_servers dhcp.option.domain_name_server
dhcp.hostname dhcp.option.hostname
dhcp.domain dhcp.option.domain_name
dhcp.vendor_class dhcp.option.vendor_class_id
dhcp.lease_s dhcp.option.ip_address_lease_time
dhcp.parameters dhcp.option.request_list_item
dhcp.boot_file dhcp.file
dhcp6.message dhcpv6.msgtype
dhcp6.xid dhcpv6.xid
dhcp6.addresses dhcpv6.iaaddr.ip
dhcp6.dns_servers dhcpv6.dns_server
dhcp6.domains dhcpv6.search_list_entry
ntp.leap ntp.flags.li
ntp.version ntp.flags.vn
ntp.mode ntp.flags.mode
ntp.stratum ntp.stratum
ntp.poll ntp.ppoll
ntp.precision ntp.precision
ntp.root_delay ntp.rootdelay
ntp.root_dispersion ntp.rootdispersion
ntp.reference ntp.refid
ntp.transmit_ns ntp.xmt
tftp.opcode tftp.opcode
tftp.file tftp.source_file
tftp.mode tftp.type
tftp.block tftp.block
tftp.error tftp.error.message
quic.version quic.version
quic.dcid_length quic.dcil
quic.dcid quic.dcid
quic.scid quic.scid
quic.type quic.long.packet_type
quic.token_length quic.token_length
quic.length quic.length
tls.handshake tls.handshake.type
tls.hello_version tls.handshake.version
tls.sni tls.handshake.extensions_server_name
tls.alpn tls.handshake.extensions_alpn_str
tls.ciphers tls.handshake.ciphersuite
tls.cipher tls.handshake.ciphersuite
tls.extensions tls.handshake.extension.type
tls.versions tls.handshake.extensions.supported_version
tls.groups tls.handshake.extensions_supported_group
tls.point_formats tls.handshake.extensions_ec_point_format
tls.signatures tls.handshake.sig_hash_alg
tls.ja3 tls.handshake.ja3_full
tls.ja3_hash tls.handshake.ja3
tls.ja3s tls.handshake.ja3s
tls.type tls.record.content_type tls.record.opaque_type
tls.version tls.record.version
tls.length tls.record.length
http.method http.request.method
http.target http.request.uri
http.version http.request.version http.response.version
http.status http.response.code
http.reason http.response.phrase
http.host http.host
http.user_agent http.user_agent
http.server http.server
http.location http.location
http.content_type http.content_type
http.content_length http.content_length
ftp.command ftp.request.command
ftp.argument ftp.request.arg
ftp.code ftp.response.code
ftp.text ftp.response.arg
smtp.command smtp.req.command
smtp.argument smtp.req.parameter
smtp.code smtp.response.code
smtp.text smtp.rsp.parameter
pop3.line pop.request.command pop.request.parameter pop.response.indicator pop.response.description
imap.line imap.line
sip.method sip.Method
sip.uri sip.r-uri
sip.status sip.Status-Code
sip.call_id sip.Call-ID
sip.cseq sip.CSeq
sip.sender sip.From
sip.receiver sip.To
sip.user_agent sip.User-Agent
snmp.version snmp.version snmp.msgVersion
snmp.community snmp.community
snmp.request_id snmp.request_id
snmp.error_status snmp.error_status
snmp.oids snmp.name
snmp.message_id snmp.msgID
snmp.engine_id snmp.msgAuthoritativeEngineID
snmp.engine_boots snmp.msgAuthoritativeEngineBoots
snmp.engine_time_s snmp.msgAuthoritativeEngineTime
snmp.user snmp.msgUserName
ssh.kex ssh.kex_algorithms
ssh.host_keys ssh.server_host_key_algorithms
ssh.ciphers_client ssh.encryption_algorithms_client_to_server
ssh.ciphers_server ssh.encryption_algorithms_server_to_client
ssh.macs_client ssh.mac_algorithms_client_to_server
ssh.macs_server ssh.mac_algorithms_server_to_client
ssh.compression_client ssh.compression_algorithms_client_to_server
ssh.compression_server ssh.compression_algorithms_server_to_client
ssh.hassh ssh.kex.hassh
ssh.hassh_server ssh.kex.hasshserver
telnet.commands telnet.cmd
telnet.options telnet.subcmd
ospf.version ospf.version
ospf.type ospf.msg
ospf.length ospf.packet_length
ospf.router ospf.srcrouter
ospf.area ospf.area_id
ospf.checksum ospf.checksum
ospf.hello_s ospf.hello.hello_interval
ospf.dead_s ospf.hello.router_dead_interval
ospf.mask ospf.hello.network_mask
ospf.designated ospf.hello.designated_router
ospf.backup ospf.hello.backup_designated_router
ospf.neighbours ospf.hello.active_neighbor
bgp.length bgp.length
bgp.type bgp.type
bgp.version bgp.open.version
bgp.asn bgp.open.myas
bgp.hold_s bgp.open.holdtime
bgp.router bgp.open.identifier
bgp.attributes bgp.update.path_attribute.type_code
bgp.prefixes bgp.nlri_prefix bgp.prefix_length
esp.spi esp.spi
esp.sequence esp.sequence
ah.next_header ah.next_header
ah.length ah.length
ah.spi ah.spi
ah.sequence ah.sequence
ppp.protocol ppp.protocol
routing.next_header ipv6.routing.nxt
routing.length ipv6.routing.len
routing.kind ipv6.routing.type
routing.segments_left ipv6.routing.segleft
destination.next_header ipv6.dstopts.nxt
destination.length ipv6.dstopts.len
gre.sequence gre.sequence_number
loopback.family null.family
radiotap.version radiotap.version
radiotap.length radiotap.length
radiotap.frequency radiotap.channel.freq
radiotap.signal radiotap.dbm_antsignal
wlan.type wlan.fc.type
wlan.subtype wlan.fc.subtype
wlan.receiver wlan.ra
wlan.transmitter wlan.ta
wlan.sequence wlan.seq
wlan.ssid wlan.ssid
""".strip().splitlines())
}


@dataclass(frozen=True)
class Packet:
    """One packet as both see it."""

    theirs: dict[str, list[str]]
    ours: dict[str, object]
    protocols: str

    @property
    def is_error(self) -> bool:
        """Whether it is an ICMP error, which quotes another packet."""
        return self.ours["icmp.type"] in (3, 4, 5, 11, 12) or self.ours["icmpv6.type"] in range(128)

    @property
    def is_client_hello(self) -> bool:
        """Whether a TLS client speaks first here."""
        return self.ours["tls.handshake"] == 1

    @property
    def is_dns_question(self) -> bool:
        """Whether a DNS server is asked."""
        return self.ours["dns.qr"] == 0


def _times(factor: float) -> Callable[[list[str]], list[object]]:
    return lambda found: [int(float(each) * factor) for each in found]


def _divided(divisor: int) -> Callable[[list[str]], list[object]]:
    return lambda found: [int(each, 0) // divisor for each in found]


def _split(found: list[str]) -> list[object]:
    return [name for each in found for name in each.split(",")]


def _named(**names: str) -> Callable[[list[str]], list[object]]:
    return lambda found: [names[f"_{each}"] for each in found]


def _joined(found: list[str]) -> list[object]:
    return [" ".join(found)] if found else []


def _prefixes(found: list[str]) -> list[object]:
    half = len(found) // 2
    return [f"{net}/{bits}" for net, bits in zip(found[:half], found[half:], strict=True)]


def _escaped(found: list[str]) -> list[object]:
    return [each.replace(" ", "\\032") for each in found]


def _time_ns(found: list[str]) -> list[object]:
    """Return `Nov 21, 2026 16:23:08.031795501 UTC` as nanoseconds."""
    times: list[object] = []
    for each in found:
        whole, _, rest = each.removesuffix(" UTC").partition(".")
        read = datetime.strptime(whole, "%b %d, %Y %H:%M:%S").replace(tzinfo=UTC)
        times.append(int(read.timestamp()) * 10**9 + int(rest))
    return times


CONVENTIONS: dict[str, tuple[Callable[[list[str]], list[object]], str]] = {
    "ip.ihl": (_divided(4), "tshark counts octets, RFC 791 words of 4"),
    "tcp.data_offset": (_divided(4), "tshark counts octets, RFC 9293 words of 4"),
    "vxlan.flags": (_divided(256), "tshark shows 16 bits, RFC 7348 has 8 and 24 reserved ones"),
    "http.version": (lambda found: [each.removeprefix("HTTP/") for each in found],
                     "tshark shows the word before the number"),
    "snmp.version": (_named(_0="1", _1="2c", _3="3"), "tshark shows the number on the wire"),
    "quic.type": (_named(_0="initial", _1="0-rtt", _2="handshake", _3="retry"),
                  "tshark shows the number on the wire"),
    "stp.hello_ms": (_times(1000), "tshark shows seconds"),
    "bgp.prefixes": (_prefixes, "tshark shows networks and their lengths apart"),
    "dns.qname": (_escaped, "a blank within a name is \\032 (RFC 1035 section 5.1)"),
    "dns.ptr": (_escaped, "a blank within a name is \\032 (RFC 1035 section 5.1)"),
    "dhcp6.domains": (lambda found: [each.removesuffix(".") for each in found],
                      "tshark shows the last dot, ours are names as in dns.qname"),
    "ntp.reference": (lambda found: [int(each, 16) for each in found], "tshark shows hex digits"),
    "ntp.transmit_ns": (_time_ns, "tshark shows a date"),
    "wlan.ssid": (lambda found: [bytes.fromhex(each).decode() for each in found],
                  "tshark shows hex digits"),
    "loopback.family": (lambda found: [int(each) << 24 for each in found],
                        "ours are the octets as they lie, by the order of a little-endian machine"),
    "pop3.line": (_joined, "tshark shows the words of a line apart"),
    "imap.line": (lambda found: [each.removesuffix("\\r\\n") for each in found],
                  "tshark shows the end of the line"),
    "snmp.engine_id": (lambda found: [each for each in found if each != "<MISSING>"],
                       "tshark shows an empty engine so"),
    **{f"ssh.{name}": (_split, "tshark shows a list as the text it is on the wire")
       for name in ("kex", "host_keys", "ciphers_client", "ciphers_server", "macs_client",
                    "macs_server", "compression_client", "compression_server")},
}

_Where = Callable[[Packet], bool]
_QUIC_STATE = (
    lambda packet: "quic" in packet.protocols,
    "a hello of several packets, or a server's under its client's key: tshark remembers packets")
_NO_STATE = (lambda packet: "tftp" not in packet.protocols,
             "a transfer goes on between other ports (RFC 1350 section 4): tshark remembers them")
_QUESTION = (lambda packet: packet.is_dns_question, "tshark leaves a reply's bits out of questions")
_NOT_OFFERED = (lambda packet: not packet.is_client_hello, "ours is what a client's hello offers")
_SLL = (lambda packet: not packet.protocols.startswith("linuxsll:"), "both cooked headers are sll")
_SLL2 = (lambda packet: not packet.protocols.startswith("linuxsll2"), "both cooked headers are sll")
_NO_ADDRESS = (lambda packet: packet.theirs["sll.halen"] != ["6"],
               "ours are the header's octets, even if the link has no address")


def _both(one: tuple[_Where, str], other: tuple[_Where, str]) -> tuple[_Where, str]:
    return lambda packet: one[0](packet) or other[0](packet), f"{one[1]}; {other[1]}"


ELSEWHERE: dict[str, tuple[_Where, str]] = {
    "ip.version": (lambda packet: packet.theirs["ip.version"][:1] == ["6"],
                   "tshark calls IPv6's version so, too"),
    "icmp.id": (lambda packet: not packet.theirs["icmp.ident"],
                "the second word has this name in all messages with us"),
    "icmp.seq": (lambda packet: not packet.theirs["icmp.seq"],
                 "the second word has this name in all messages with us"),
    "icmpv6.id": (lambda packet: not packet.theirs["icmpv6.echo.identifier"],
                  "the second word has this name in all messages with us"),
    "icmpv6.seq": (lambda packet: not packet.theirs["icmpv6.echo.identifier"],
                   "the second word has this name in all messages with us"),
    "igmp.group": (lambda packet: packet.ours["igmp.type"] == 0x22,
                   "version 3 has a count there (RFC 9776 section 4.2)"),
    "igmp.groups": (lambda packet: packet.ours["igmp.type"] != 0x22,
                    "ours are version 3's; the one group of others is igmp.group"),
    "vlan.ethertype": (lambda packet: bool(packet.theirs["ieee8021ad.id"]),
                       "tshark has no name for it in a provider's tag"),
    "telnet.options": (lambda packet: 250 in _list(packet.ours["telnet.commands"]),
                       "tshark also calls what a negotiation asks inside so"),
    "tls.ciphers": _NOT_OFFERED,
    "tls.cipher": (lambda packet: packet.ours["tls.handshake"] != 2, "ours is what a server took"),
    "tls.point_formats": _NOT_OFFERED, "tls.signatures": _NOT_OFFERED,
    **dict.fromkeys(("dns.aa", "dns.ra", "dns.ad", "dns.rcode"), _QUESTION),
    "tftp.opcode": _NO_STATE, "tftp.block": _NO_STATE, "tftp.error": _NO_STATE,
    **{name: _SLL for name in FIELDS if name.startswith("linuxsll.")},
    **{name: _SLL2 for name in FIELDS if name.startswith("linuxsll2.")},
    "linuxsll.address": _both(_SLL, _NO_ADDRESS), "linuxsll2.address": _both(_SLL2, _NO_ADDRESS),
}


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else []


def is_elsewhere(field: str, packet: Packet) -> bool:
    """Return whether only one of the two can have a field in a packet."""
    if packet.is_error and packet.ours[field] is None:
        return True  # tshark also reads the packet that an error quotes
    if field.startswith("tls.") and _QUIC_STATE[0](packet) and packet.ours["tls.sni"] is None:
        return True
    return field in ELSEWHERE and ELSEWHERE[field][0](packet)


def values(field: str, packet: Packet) -> tuple[list[str], list[str]]:
    """Return a field of a packet as tshark has it, read by our convention, and as we have it."""
    value = packet.ours[field]
    found = [each for name in FIELDS[field] for each in packet.theirs[name] if each]
    read = CONVENTIONS[field][0](found) if field in CONVENTIONS else list(found)
    wanted = value if isinstance(value, list) else [value]
    wanted = [each for each in wanted if each not in (None, "")]
    read = read if isinstance(value, list) else read[:1]
    return [_comparable(each) for each in read], [_comparable(each) for each in wanted]


def _comparable(value: object) -> str:
    """Return a value as text: tshark writes numbers in either base."""
    try:
        return str(int(str(value), 0))
    except ValueError:
        return str(value).removesuffix("\n")
